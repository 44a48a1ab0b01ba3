"""`halley upstreams`: the services elsewhere that run predictions for a Halley server; needs an admin key."""

from __future__ import annotations

from typing import Any

import typer

from halley.cli.options import JsonOption, ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen

app = typer.Typer(
    help="See the services elsewhere that run predictions (admin).", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def upstreams() -> None:
    """See the services elsewhere that run predictions (admin)."""


@app.command("list")
def list_upstreams(
    server: ServerOption = None, token: TokenOption = None, profile: ProfileOption = None, as_json: JsonOption = False
) -> None:
    """List the services: state, runs, predictions with an unknown outcome, last errors.

    Example:  halley upstreams list
    """
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        found = list(client.pages("/upstreams"))
    if as_json:
        screen.out_json(found)
        return
    screen.table(["NAME", "STATE", "RUNS", "UNKNOWN", "PROFILE", "URL"], [_row(one) for one in found])
    for one in found:
        if one.get("reason"):
            screen.note(f"{one['name']}: {one['reason']}")
        for error in one.get("last_errors") or ():
            screen.note(f"{one['name']}: {str(error['at'])[:19]} {str(error['text']).splitlines()[0]}")


def _row(one: dict[str, Any]) -> list[str]:
    return [
        str(one.get("name")),
        {"closed": "ok", "open": "not answering", "half_open": "being tried"}.get(str(one.get("state")), "-"),
        f"{one.get('in_flight')}/{one.get('slots')}",
        str(one.get("unknown")),
        str(one.get("profile")),
        str(one.get("url")),
    ]
