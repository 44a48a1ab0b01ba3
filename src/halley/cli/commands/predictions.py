"""`halley predictions`: lists, shows, follows, saves, cancels and clears predictions on any compatible server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from halley.cli.commands import acting
from halley.cli.filter_options import (
    BeforeOption,
    ErrorOption,
    GroupOption,
    KeyOption,
    ModelOption,
    ProviderOption,
    SinceOption,
    TagOption,
)
from halley.cli.options import (
    JsonOption,
    LimitOption,
    ProfileOption,
    ServerOption,
    TimeoutOption,
    TokenOption,
    read_duration,
)
from halley.cli.screen import Screen

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from halley.cli.client import Client
    from halley.cli.failures import CommandError

app = typer.Typer(
    help="List, show, follow, save, cancel and rerun predictions.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_STATUSES: Final = ("starting", "processing", "succeeded", "failed", "canceled", "aborted")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The prediction's id.")]
SaveOption = Annotated[
    str | None,
    typer.Option(
        "--save", metavar="DIR", help="Save all files of the output in this folder, together with prediction.json."
    ),
]


@app.command("list")
def list_(
    limit: LimitOption = 20,
    status: Annotated[
        str | None, typer.Option("--status", help="Only predictions with this status, or one of these, as in a,b.")
    ] = None,
    model: ModelOption = None,
    error: ErrorOption = None,
    since: SinceOption = None,
    before: BeforeOption = None,
    key: KeyOption = None,
    provider: ProviderOption = None,
    tag: TagOption = None,
    group: GroupOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List predictions, newest first.

    \b
    Examples:
      halley predictions list --status failed --limit 5
      halley predictions list --model "demo/*" --since 2h
      halley predictions list --error "out of memory" --tag nightly
      halley predictions list --json | jq -r ".[].id"
    """
    from halley.cli.failures import UsageProblem
    from halley.cli.listing import Wanted, chosen, first, note_more, read_since
    from halley.cli.session import connect

    for word in () if status is None else status.split(","):
        if word not in _STATUSES:
            raise UsageProblem(f"There is no status {word!r}.", hint=f"Choose one of {', '.join(_STATUSES)}.")
    screen = Screen(json_only=as_json)
    hidden = {"key": key, "provider": provider, "tag": tag, "group": group}
    wanted = Wanted(
        status=status,
        model=model,
        error=error,
        since=read_since(since),
        before=read_since(before, "--before"),
        hidden={name: text for name, text in hidden.items() if text},
    )
    with connect(server, token, profile) as client:
        if wanted.hidden:
            client.require_filters(", ".join(wanted.hidden))
        found, has_more = first(chosen(client.predictions(wanted.query()), wanted), limit)
    if as_json:
        screen.out_json(found)
    else:
        from datetime import UTC, datetime

        now = datetime.now(UTC)
        screen.table(["ID", "MODEL", "STATUS", "AGE", "QUEUED", "RUN"], [_row(screen, item, now) for item in found])
    note_more(screen, len(found), has_more=has_more)


@app.command("show")
def show(
    id: IdArgument,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a prediction as it is now.

    \b
    Examples:
      halley predictions show ID
      halley predictions show ID --server https://api.cometapi.com/replicate/v1 --token TOKEN
    """
    from halley.cli.results import metrics_line
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        prediction = client.look(id).prediction
    if screen.wants_json:
        screen.out_json(prediction)
        _say_removed(screen, prediction)
        return
    _say_removed(screen, prediction)
    page = (prediction.get("urls") or {}).get("web")
    for name, value in [
        ("id", prediction["id"]),
        ("model", prediction.get("model")),
        ("version", prediction.get("version")),
        ("status", screen.mark(str(prediction["status"]))),
        ("error", prediction.get("error")),
        ("metrics", metrics_line(prediction)),
        ("created", prediction.get("created_at")),
        ("started", prediction.get("started_at")),
        ("completed", prediction.get("completed_at")),
        ("page", page),
    ]:
        if value:
            screen.out(f"{name:10} {value}")
    for name in ("input", "output"):
        screen.out(f"{name}:")
        screen.out_json(prediction.get(name))


@app.command("logs")
def logs(
    id: IdArgument,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Continue until the prediction ends.")] = False,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Print the logs of a prediction, exactly as they are.

    \b
    Examples:
      halley predictions logs -f ID
    """
    from halley.cli.following import Following
    from halley.cli.logs import LogPrinter
    from halley.cli.session import connect
    from halley.cli.waiting import LIVE_HOLD_SECONDS, connection_reporter

    screen = Screen()
    printer = LogPrinter(screen)
    with connect(server, token, profile) as client:
        if follow:
            trouble = connection_reporter(screen)
            Following(client, id, printer, hold_seconds=LIVE_HOLD_SECONDS, on_trouble=trouble).to_the_end(None)
        else:
            prediction = client.look(id).prediction
            printer.show(prediction)
            _say_removed(screen, prediction)


@app.command("watch")
def watch_(
    id: IdArgument,
    save: SaveOption = None,
    timeout: TimeoutOption = None,
    cancel_on_interrupt: Annotated[
        bool, typer.Option("--cancel-on-interrupt", help="Ctrl+C cancels the prediction instead of leaving it running.")
    ] = False,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Follow a prediction until it ends, then save its files. After an interruption, run it again to continue.

    \b
    Examples:
      halley predictions watch ID --save kept
      halley predictions watch ID --save kept --server https://api.cometapi.com/replicate/v1
    """
    from halley.cli.failures import ExitCode, OutputMissing
    from halley.cli.placing import check_place, read_place
    from halley.cli.results import report_end, show_output
    from halley.cli.saving import saved_already
    from halley.cli.session import connect
    from halley.cli.waiting import Interrupted, wait_for
    from halley.cli.watching import is_terminal

    screen = Screen(json_only=as_json)
    seconds = read_duration(timeout, "--timeout")
    folder = read_place(save, "--save")
    check_place(folder, is_folder=True)
    record = saved_already(folder, id) if folder else None
    if record is not None and is_terminal(record.prediction):
        screen.note(f"  everything is saved in {folder} already")
        show_output(screen, record.prediction, text_stream=False)
        return report_end(screen, record.prediction)
    lost: CommandError | None = None
    with connect(server, token, profile) as client:
        client.on_pause = screen.note
        try:
            with client.within(seconds):
                final, _ = wait_for(
                    client, screen, id, created=None, timeout_seconds=seconds, cancel_on_interrupt=cancel_on_interrupt
                )
        except OutputMissing as error:
            final = error.prediction
            lost = error if folder else None
            if not folder:
                screen.note(f"  {error}")
        except Interrupted:
            return ExitCode.INTERRUPTED
        if folder:
            lost = _save(client, screen, final, folder) or lost
    show_output(screen, final, text_stream=False)
    code = report_end(screen, final, logs_shown=True)
    if lost is not None:
        raise lost
    return code


def _save(client: Client, screen: Screen, final: dict[str, Any], folder: Path) -> CommandError | None:
    """Save what the prediction put out; the error if something of it is lost."""
    from halley.cli.failures import CommandError
    from halley.cli.outputs import outputs_of
    from halley.cli.results import save_all

    try:
        save_all(client, screen, final, folder, outputs_of(client, final, client.target.root))
    except CommandError as error:
        return error
    return None


app.command("cancel")(acting.cancel)
app.command("rerun")(acting.rerun)
app.command("delete-data")(acting.delete_data)
app.command("bulk")(acting.bulk)


def _say_removed(screen: Screen, prediction: dict[str, Any]) -> None:
    if prediction.get("data_removed"):
        screen.note("Its input, output and logs were removed from the server.")


def _row(screen: Screen, prediction: dict[str, Any], now: datetime) -> list[str]:
    from halley.cli.listing import read_instant

    created, started, completed = (
        read_instant(prediction.get(f"{word}_at")) for word in ("created", "started", "completed")
    )
    metrics = prediction.get("metrics")
    run = metrics.get("predict_time") if isinstance(metrics, dict) else None
    if run is None and started and completed:
        run = (completed - started).total_seconds()
    return [
        str(prediction.get("id", "")),
        str(prediction.get("model") or ""),
        screen.mark(str(prediction.get("status"))),
        _span((now - created).total_seconds()) if created else "",
        f"{(started - created).total_seconds():.1f}s" if created and started else "",
        f"{run:.1f}s" if isinstance(run, int | float) else "",
    ]


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"
