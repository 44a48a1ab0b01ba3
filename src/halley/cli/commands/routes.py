"""`halley routes`: which provider runs which model of a Halley server; needs an admin key."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from halley.cli.options import JsonOption, ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen

app = typer.Typer(help="See which provider runs which model (admin).", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_routes(
    server: ServerOption = None, token: TokenOption = None, profile: ProfileOption = None, as_json: JsonOption = False
) -> None:
    """List the routes, in the order in which they are tried.

    \b
    Examples:
      halley routes list
    """
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        found = list(client.pages("/routes"))
    if as_json:
        screen.out_json(found)
        return
    screen.table(["MODEL", "PROVIDERS", "MODEL NAME THERE", "SKIPS LOCAL"], [_row(route) for route in found])


@app.command("test")
def show_choice(
    model: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A model.")],
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which provider would take the next run of a model, and why. Nothing is run.

    \b
    Examples:
      halley routes test acme/upscaler
    """
    from halley.cli.failures import UsageProblem
    from halley.cli.session import connect

    owner, slash, name = model.partition("/")
    if not slash or not owner or not name or "/" in name:
        raise UsageProblem(f"{model!r} is not a model.", hint="Give owner/name.")
    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        found = client.call("GET", f"/routes/{quote(owner, safe='')}/{quote(name, safe='')}")
    if as_json:
        screen.out_json(found)
        return
    screen.out(str(found.get("provider") or "none"))
    screen.note(f"route: {found['route']}" if found.get("route") else "no route: the model runs on this machine")
    if not found.get("is_checked"):
        screen.note("inputs are not checked: no provider gives a schema, and the route has none")
    for verdict in found.get("providers") or ():
        name = verdict["provider"] + ("" if verdict["model"] == model else f" ({verdict['model']})")
        share = f" (weight {verdict['weight']})" if verdict.get("weight") else ""
        screen.note(f"{name}{share}: {'yes' if verdict['takes'] else 'no'}: {verdict['reason']}")


def _row(route: dict[str, Any]) -> list[str]:
    passes = []
    if route.get("spill_over_queue") is not None:
        passes.append(f"when {route['spill_over_queue']} wait")
    if route.get("spill_over_unloaded"):
        passes.append("while it is not loaded")
    weights = route.get("weights") or {}
    return [
        str(route.get("name")),
        ", ".join(f"{name} {weights[name]}" if name in weights else name for name in route.get("providers") or ()),
        str(route.get("model") or "the same"),
        ", ".join(passes) or "-",
    ]
