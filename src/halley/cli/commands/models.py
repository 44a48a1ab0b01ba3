"""`halley models`: shows what a server can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from halley.cli.options import JsonOption, LimitOption, ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen

if TYPE_CHECKING:
    from halley.cli.client import Client
    from halley.cli.model_ref import ModelRef

FOLLOW_SECONDS: Final = 1.0

app = typer.Typer(help="See which models a server can run.", no_args_is_help=True, rich_markup_mode=None)
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="owner/name, or owner/name:version.")]


@app.command("list")
def list_(
    limit: LimitOption = 50,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List models."""
    from halley.cli.listing import first, note_more
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        found, has_more = first(client.models(), limit)
    note_more(screen, len(found), has_more=has_more)
    if as_json:
        screen.out_json(found)
        return
    screen.table(["MODEL", "VERSION", "STATE", "DESCRIPTION"], [_row(model) for model in found])
    for model in found:
        if model.get("reason"):
            screen.note(f"{_name_of(model)}: {model['reason']}")


@app.command("show")
def show(
    model: ModelArgument,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one model and its inputs.

    \b
    Examples:
      halley models show demo/paint
    """
    from halley.cli.commands.check import describe, shown_default
    from halley.cli.inputs import input_properties
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        found, version = _find(client, model)
    if screen.wants_json:
        screen.out_json(found)
        return
    screen.out(f"{_name_of(found)}  {found.get('description') or ''}".rstrip())
    if found.get("reason"):
        screen.note(f"{str(found.get('state')).replace('_', ' ')}: {found['reason']}")
    screen.out(f"version {version.get('id', 'hidden')}")
    schema = version.get("openapi_schema")
    inputs = input_properties(schema) or {}
    ordered = sorted(inputs.items(), key=lambda pair: pair[1].get("x-order", 999))
    rows = [[key, describe(item), shown_default(item), str(item.get("description", ""))] for key, item in ordered]
    if rows:
        screen.table(["INPUT", "TYPE", "DEFAULT", "DESCRIPTION"], rows)


@app.command("schema")
def schema(
    model: ModelArgument, server: ServerOption = None, token: TokenOption = None, profile: ProfileOption = None
) -> None:
    """Print the OpenAPI document of a model's version."""
    from halley.cli.failures import ServerRefused
    from halley.cli.session import connect

    with connect(server, token, profile) as client:
        _, version = _find(client, model)
    if not version.get("openapi_schema"):
        raise ServerRefused(404, f"{model} has no schema on {client.target.root}.")
    Screen(json_only=True).out_json(version["openapi_schema"])


@app.command("logs")
def logs(
    model: ModelArgument,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Continue until you press Ctrl+C.")] = False,
    lines: Annotated[
        int,
        typer.Option("-n", "--lines", metavar="N", min=0, help="The maximum number of lines, counted from the end."),
    ] = 200,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a model printed outside of predictions (admin).

    That is during its setup, from threads, or while it was idle.

    \b
    Examples:
      halley models logs demo/text
      halley models logs -f acme/greeter
    """
    from halley.cli.failures import UsageProblem
    from halley.cli.model_ref import parse_model_ref
    from halley.cli.session import connect

    ref = parse_model_ref(model)
    if ref.model is None:
        raise UsageProblem(f"{model!r} is only a version.", hint="Write owner/name or owner/name:version.")
    if follow and as_json:
        raise UsageProblem("--json prints one document, but -f does not end.", hint="Leave one of them out.")
    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        found = _replica_log(client, ref)
        shown = found[-lines:] if lines else []
        if as_json:
            screen.out_json(shown)
            return
        _print(screen, shown)
        if not found and not follow:
            screen.note(f"{model} has printed nothing outside of predictions since the server started.")
        while follow:
            client.timing.sleep(FOLLOW_SECONDS)
            if more := client.replica_log(ref, after=int(found[-1]["number"]) if found else 0):
                _print(screen, more)
                found = more


@app.command("clear-setup")
def clear_setup(
    model: ModelArgument,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete the files that a model's setup() left (admin).

    Its next process then runs the whole setup.

    Processes that run keep their files.

    \b
    Examples:
      halley models clear-setup acme/painter
    """
    from halley.cli.failures import ServerRefused, UsageProblem
    from halley.cli.model_ref import parse_model_ref
    from halley.cli.session import connect
    from halley.cli.suggesting import no_such_model

    ref = parse_model_ref(model)
    if ref.model is None or ref.version:
        raise UsageProblem(f"{model!r} does not name a model.", hint="Write owner/name.")
    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        try:
            size = client.clear_setup(ref)
        except ServerRefused as refused:
            if refused.status != 404:
                raise
            raise no_such_model(client, ref) from refused
    if as_json:
        screen.out_json({"model": model, "cleared_bytes": size})
    elif size is None:
        screen.note(f"Setup of {model} left no files.")
    else:
        screen.note(f"Cleared {size / 1e6:,.1f} MB that setup of {model} left; its next process runs the whole setup.")


def _replica_log(client: Client, ref: ModelRef) -> list[dict[str, Any]]:
    from halley.cli.failures import ServerRefused
    from halley.cli.suggesting import no_such_model

    try:
        return client.replica_log(ref)
    except ServerRefused as refused:
        if refused.status != 404:
            raise
        if client.model(ref) is not None:
            hint = "Only Halley's own servers do."
            raise ServerRefused(404, f"{client.target.root} does not keep logs of models.", hint=hint) from refused
        raise no_such_model(client, ref) from refused


def _print(screen: Screen, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        screen.out(f"{str(line.get('ended_at'))[:19].replace('T', ' ')}  {line.get('pid')}  {line.get('text')}")


def _find(client: Client, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    from halley.cli.failures import UsageProblem
    from halley.cli.model_ref import parse_model_ref
    from halley.cli.suggesting import no_such_model

    ref = parse_model_ref(text)
    if ref.model is None:
        raise UsageProblem(f"{text!r} is only a version.", hint="Write owner/name:version.")
    found = client.model(ref)
    if found is None:
        raise no_such_model(client, ref)
    version = client.version(ref) if ref.version else found.get("latest_version")
    return found, version or {}


def _row(model: dict[str, Any]) -> list[str]:
    state = str(model.get("state") or "-").replace("_", " ")  # an extension of ours: other servers do not send it
    return [_name_of(model), _version_of(model)[:12], state, str(model.get("description") or "")]


def _name_of(model: dict[str, Any]) -> str:
    return f"{model.get('owner')}/{model.get('name')}"


def _version_of(model: dict[str, Any]) -> str:
    version = model.get("latest_version")
    return str(version.get("id", "")) if isinstance(version, dict) else ""
