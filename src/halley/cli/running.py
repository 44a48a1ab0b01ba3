"""Runs a prediction from the command line: chooses the server, builds the input, handles the output."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from halley.cli.client import Client, Json
from halley.cli.failures import CommandError, ExitCode, OutputMissing, ServerRefused, UsageProblem
from halley.cli.inputs import Pair, build_input, input_properties
from halley.cli.model_ref import ModelRef, parse_model_ref
from halley.cli.outputs import Outputs
from halley.cli.placing import is_standard_output
from halley.cli.private import private_server
from halley.cli.results import place_for_files, report_end, save_all, show_output, write_output
from halley.cli.schemas import is_text_stream
from halley.cli.screen import Screen
from halley.cli.suggesting import no_such_model
from halley.cli.waiting import Interrupted, wait_for

if TYPE_CHECKING:
    from halley.cli.progress import Stream


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with the prediction, from the options of `halley run`."""

    stream: bool | None
    wait: bool
    seconds: float | None
    cancel_after: str | None
    detach: bool
    output: Path | None
    save: Path | None
    idempotency_key: str | None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the prediction runs: a server, and the model's name there. A private server ends with the command."""

    client: Client
    model: str
    is_private: bool


def run_prediction(
    screen: Screen, model: str, pairs: Sequence[Pair], options: RunOptions, connect: Callable[[], Client]
) -> int:
    """Create the prediction and, if requested, wait for its end; returns the exit code. `connect` is for models of a
    server.
    """
    with _opened(screen, model, options, connect) as place:
        client = place.client
        ref = parse_model_ref(place.model)
        schema = _schema_of(client, ref)
        client.on_pause = screen.note
        values = build_input(pairs, input_properties(schema), client.upload, screen.note)
        asked_at = client.timing.monotonic()
        created = _created(client, ref, values, options)
        _introduce(screen, created, place.model, has_page=not place.is_private)
        if options.wait:
            return _follow_to_end(
                client, screen, created, schema, options, asked_at=asked_at, is_private=place.is_private
            )
        if screen.wants_json:
            screen.out_json(created)
        else:
            screen.out(created["id"])
        return ExitCode.SUCCEEDED


@contextmanager
def _opened(screen: Screen, model: str, options: RunOptions, connect: Callable[[], Client]) -> Iterator[Place]:
    if not is_local_path(model):
        with connect() as client:
            yield Place(client=client, model=model, is_private=False)
        return
    path = Path(model).expanduser()
    if not path.exists():
        raise UsageProblem(f"There is no model at {path}.", hint="`halley init FOLDER` creates one.")
    if not options.wait:
        raise UsageProblem("--no-wait needs a server that keeps running.", hint="Start one: halley serve " + model)
    screen.status("starting the model ...")
    with private_server(path) as started, Client(started.target) as client:
        yield Place(client=client, model=started.models[0], is_private=True)


def _created(client: Client, ref: ModelRef, values: Json, options: RunOptions) -> Json:
    key = options.idempotency_key or secrets.token_hex(16)
    try:
        with client.within(options.seconds):
            return client.create(ref, values, idempotency_key=key, cancel_after=options.cancel_after)
    except ServerRefused as refused:
        if refused.status == 404 and ref.model and not ref.version:
            raise no_such_model(client, ref) from refused
        raise


def is_local_path(model: str) -> bool:
    """Whether the text is `.`, `./x`, `/x`, `~/x` or an existing Python file; `owner/name` is always a model."""
    return (
        model in {".", ".."}
        or model.startswith(("./", "../", "/", "~"))
        or (model.endswith(".py") and Path(model).is_file())
    )


def stream_mode(wanted: bool | None, text_stream: bool, *, is_kept: bool, json_only: bool) -> Stream | None:
    """Decide how output is streamed to stdout: by default only text, and only if it is not saved elsewhere."""
    if wanted is False or (wanted is None and (not text_stream or is_kept or json_only)):
        return None
    return "text" if text_stream and not json_only else "items"


def _follow_to_end(
    client: Client,
    screen: Screen,
    created: Json,
    schema: Any,
    options: RunOptions,
    *,
    asked_at: float,
    is_private: bool,
) -> int:
    text_stream = is_text_stream(schema)
    outputs = Outputs(schema, client.target.root)
    how = stream_mode(options.stream, text_stream, is_kept=options.output is not None, json_only=screen.json_only)
    left = None if options.seconds is None else max(0.0, options.seconds - (client.timing.monotonic() - asked_at))
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
                cancel_on_interrupt=not options.detach,
            )
    except OutputMissing as error:
        missing, final = error, error.prediction
    except Interrupted:
        return ExitCode.INTERRUPTED
    if is_private and options.output is None and options.save is None:
        # links of a server that is about to end are of no use
        options = msgspec.structs.replace(options, output=place_for_files(final, outputs))
    lost = _keep(client, screen, final, options, outputs, missing)
    is_shown = screen.wants_json or (options.output is None and options.save is None)
    if not streamed and how != "items" and is_shown and not (options.output and is_standard_output(options.output)):
        show_output(screen, final, text_stream=text_stream)
    code = report_end(screen, final, logs_shown=True, is_kept=not is_private)
    if lost is not None:
        raise lost
    return code


def _keep(
    client: Client, screen: Screen, final: Json, options: RunOptions, outputs: Outputs, missing: OutputMissing | None
) -> CommandError | None:
    """Store the output where requested; returns the error, which is reported after the prediction's end."""
    if final["status"] != "succeeded":
        return None
    if missing is not None and not (options.save or options.output):
        screen.note(f"  {missing}")
        return None
    try:
        if options.save:
            save_all(client, screen, final, options.save, outputs)
        if options.output and missing is None and not final.get("data_removed"):
            write_output(client, screen, final, options.output, outputs)
    except CommandError as error:
        return error
    return missing


def _introduce(screen: Screen, created: Json, model: str, *, has_page: bool) -> None:
    page = ((created.get("urls") or {}).get("web") or "") if has_page else ""
    screen.note(f"{created['id']} {created.get('model') or model}  {page}".rstrip())


def _schema_of(client: Client, ref: ModelRef) -> Any:
    if ref.model is None:
        return None
    version = client.version(ref) if ref.version else (client.model(ref) or {}).get("latest_version")
    return version.get("openapi_schema") if isinstance(version, dict) else None
