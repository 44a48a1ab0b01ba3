"""`halley run`: create a prediction, follow it, keep its output; the exit code tells the truth."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from halley.cli.options import JsonOption, ProfileOption, ServerOption, TimeoutOption, TokenOption, read_duration
from halley.cli.screen import Screen

if TYPE_CHECKING:
    from halley.cli.client import Client, Json, ModelRef
    from halley.cli.failures import CommandError, OutputMissing
    from halley.cli.outputs import Outputs
    from halley.cli.progress import Stream


def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="owner/name[:version], or a folder: ./my-model")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]...",
            help="NAME=TEXT, NAME=@FILE (@- is standard input) or NAME:=JSON; a repeated NAME makes a list.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="PATH", help="Write the output to this file or folder; - is stdout."),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option("--save", metavar="DIR", help="Save all files in this folder, together with prediction.json."),
    ] = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Print the output as it arrives, or at the end (default for text: as it arrives).",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the end, or only create the prediction.")
    ] = True,
    timeout: TimeoutOption = None,
    cancel_after: Annotated[
        str | None, typer.Option("--cancel-after", metavar="TIME", help="The server ends it after 30s, 5m, ...")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach-on-interrupt", help="Ctrl+C leaves the prediction running.")
    ] = False,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            metavar="KEY",
            help="Sent as Idempotency-Key: a server that has seen it creates no second prediction.",
        ),
    ] = None,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run a model and show its output.

    \b
    Examples:
      halley run demo/paint prompt="green hills" -o hills.webp
      halley run ./my-model image=@cat.jpg sizes:='[1, 2]' tags=red tags=blue
      halley run demo/text prompt="A function is" | wc -w
      halley run demo/paint prompt=sea num_outputs:=3 --stream --json
    """
    import secrets

    from halley.cli.client import Client, parse_model_ref
    from halley.cli.failures import ExitCode, ServerRefused, UsageProblem
    from halley.cli.inputs import build_input, input_properties, read_pairs
    from halley.cli.private import private_server
    from halley.cli.session import connect
    from halley.cli.suggesting import no_such_model

    screen = Screen(json_only=as_json)
    seconds = read_duration(timeout, "--timeout")
    wish = _Wish(
        stream=stream,
        seconds=seconds,
        detach=detach,
        output=_place(output, as_json=as_json),
        save=_save_folder(save),
    )
    pairs = read_pairs(inputs or [])  # before anything that takes long
    is_private = is_local_path(model)
    with ExitStack() as stack:
        if is_private:
            path = Path(model).expanduser()
            if not path.exists():
                raise UsageProblem(f"There is no model at {path}.", hint="`halley init FOLDER` creates one.")
            if not wait:
                raise UsageProblem(
                    "--no-wait needs a server that keeps running.", hint="Start one: halley serve " + model
                )
            screen.status("starting the model ...")
            started = stack.enter_context(private_server(path))
            client = stack.enter_context(Client(started.target))
            model = started.models[0]
        else:
            client = stack.enter_context(connect(server, token, profile))
        ref = parse_model_ref(model)
        schema = _schema_of(client, ref)
        client.on_pause = screen.note
        values = build_input(pairs, input_properties(schema), client.upload, screen.note)
        asked_at = client.timing.monotonic()
        try:
            with client.within(seconds):
                created = client.create(
                    ref, values, idempotency_key=idempotency_key or secrets.token_hex(16), cancel_after=cancel_after
                )
        except ServerRefused as refused:
            if refused.status == 404 and ref.model and not ref.version:
                raise no_such_model(client, ref) from refused
            raise
        _introduce(screen, created, model, has_page=not is_private)
        if not wait:
            if screen.wants_json:
                screen.out_json(created)
            else:
                screen.out(created["id"])
            return ExitCode.SUCCEEDED
        wish.started = asked_at
        return _see_through(client, screen, created, schema, wish, is_private=is_private)


def is_local_path(model: str) -> bool:
    """True for `.`, `./x`, `/x`, `~/x` and names of existing Python files; a bare `owner/name` is always a model."""
    return (
        model in {".", ".."}
        or model.startswith(("./", "../", "/", "~"))
        or (model.endswith(".py") and Path(model).is_file())
    )


def how_to_stream(wanted: bool | None, text_stream: bool, *, is_kept: bool, json_only: bool) -> Stream | None:
    """Say how the output goes to stdout while it comes: unasked only text, and nothing that goes elsewhere."""
    if wanted is False or (wanted is None and (not text_stream or is_kept or json_only)):
        return None
    return "text" if text_stream and not json_only else "items"


class _Wish(msgspec.Struct, kw_only=True):
    """What shall become of the prediction; `started` is when it was asked for, on the client's clock."""

    stream: bool | None
    seconds: float | None
    detach: bool
    output: Path | None
    save: Path | None
    started: float = 0.0


def _see_through(client: Client, screen: Screen, created: Json, schema: Any, wish: _Wish, *, is_private: bool) -> int:
    from halley.cli.failures import ExitCode, OutputMissing
    from halley.cli.outputs import Outputs
    from halley.cli.placing import is_standard_output
    from halley.cli.results import place_for_files, report_end, show_output
    from halley.cli.schemas import is_text_stream
    from halley.cli.waiting import Interrupted, wait_for

    text_stream = is_text_stream(schema)
    outputs = Outputs(schema, client.target.root)
    how = how_to_stream(wish.stream, text_stream, is_kept=wish.output is not None, json_only=screen.json_only)
    left = None if wish.seconds is None else max(0.0, wish.seconds - (client.timing.monotonic() - wish.started))
    missing = None
    streamed = False
    try:
        with client.within(left):
            final, streamed = wait_for(
                client,
                screen,
                created["id"],
                created=created,
                stream=how,
                timeout_seconds=left,
                cancel_on_interrupt=not wish.detach,
            )
    except OutputMissing as error:
        missing, final = error, error.prediction
    except Interrupted:
        return ExitCode.INTERRUPTED
    if is_private and wish.output is None and wish.save is None:
        wish.output = place_for_files(final, outputs)  # links of a server that is about to end are of no use
    lost = _keep(client, screen, final, wish, outputs, missing)
    is_shown = screen.wants_json or (wish.output is None and wish.save is None)
    if not streamed and how != "items" and is_shown and not (wish.output and is_standard_output(wish.output)):
        show_output(screen, final, text_stream=text_stream)
    code = report_end(screen, final, logs_shown=True, is_kept=not is_private)
    if lost is not None:
        raise lost
    return code


def _keep(
    client: Client, screen: Screen, final: Json, wish: _Wish, outputs: Outputs, missing: OutputMissing | None
) -> CommandError | None:
    """Store the output where it is wanted; give what went wrong, for after the end is told."""
    from halley.cli.failures import CommandError
    from halley.cli.results import save_all, write_output

    if final["status"] != "succeeded":
        return None
    if missing is not None and not (wish.save or wish.output):
        screen.note(f"  {missing}")
        return None
    try:
        if wish.save:
            save_all(client, screen, final, wish.save, outputs)
        if wish.output and missing is None and not final.get("data_removed"):
            write_output(client, screen, final, wish.output, outputs)
    except CommandError as error:
        return error
    return missing


def _place(output: str | None, *, as_json: bool) -> Path | None:
    from halley.cli.failures import UsageProblem
    from halley.cli.placing import STDOUT, check_place, read_place

    path = read_place(output, "-o")
    if path == STDOUT and as_json:
        raise UsageProblem("Both -o - and --json write to standard output.", hint="Leave one of them out.")
    check_place(path, is_folder=False)
    return path


def _save_folder(save: str | None) -> Path | None:
    from halley.cli.failures import UsageProblem
    from halley.cli.placing import check_place, read_place
    from halley.cli.saving import has_record

    folder = read_place(save, "--save")
    check_place(folder, is_folder=True)
    if folder is not None and has_record(folder):
        raise UsageProblem(f"{folder} already holds another prediction.", hint="Save this one to another folder.")
    return folder


def _introduce(screen: Screen, created: Json, model: str, *, has_page: bool) -> None:
    page = ((created.get("urls") or {}).get("web") or "") if has_page else ""
    screen.note(f"{created['id']} {created.get('model') or model}  {page}".rstrip())


def _schema_of(client: Client, ref: ModelRef) -> Any:
    if ref.model is None:
        return None
    version = client.version(ref) if ref.version else (client.model(ref) or {}).get("latest_version")
    return version.get("openapi_schema") if isinstance(version, dict) else None
