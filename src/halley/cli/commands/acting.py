"""Commands of `halley predictions` that change something, of one prediction or of all that match a filter."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from halley.cli.options import JsonOption, LimitOption, ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen

_ENDINGS: Final = {
    "succeeded": "has already succeeded",
    "failed": "has already failed",
    "canceled": "was canceled",
    "aborted": "was aborted",
}
IdArgument = Annotated[str | None, typer.Argument(metavar="ID", help="The prediction's id.")]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="FILTER",
        help="All predictions that match, on a Halley server: NAME=VALUE, several with spaces between. Names: status, "
        "model, key, provider, error, tag, group, created_after, created_before.",
    ),
]
MostOption = Annotated[
    int | None, typer.Option("--limit", metavar="N", help="With --filter: the newest N that match.", min=1)
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
WaitOption = Annotated[
    bool, typer.Option("--wait/--no-wait", help="With --filter: follow to the end (Ctrl+C stops it), or only begin.")
]


def cancel(
    id: Annotated[str | None, typer.Argument(metavar="ID", help="The prediction's id.")] = None,
    filter: FilterOption = None,
    limit: MostOption = None,
    yes: YesOption = False,
    wait: WaitOption = True,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Cancel a prediction, or all that match a filter. One that has ended is unchanged.

    \b
    Examples:
      halley predictions cancel ID
      halley predictions cancel --filter "status=starting model=demo/*"
    """
    from halley.cli.bulk import BulkOptions, act, read_what
    from halley.cli.session import connect
    from halley.cli.watching import is_terminal

    screen = Screen(json_only=as_json)
    one, members = read_what(id, filter)
    with connect(server, token, profile) as client:
        if one is None:
            return act(client, screen, BulkOptions(action="cancel", filter=members, limit=limit, yes=yes, wait=wait))
        prediction = client.cancel(one)
    if screen.wants_json:
        screen.out_json(prediction)
    status = prediction["status"]
    words = _ENDINGS.get(status, f"has ended as {status}") if is_terminal(prediction) else "is being canceled"
    screen.note(f"Prediction {one} {words}.")
    return 0


def rerun(
    id: IdArgument = None,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT]...", help="Inputs to change, as for `halley run`; the others stay."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="NAME", help="Leave this input out; may be repeated.")
    ] = None,
    filter: FilterOption = None,
    limit: MostOption = None,
    yes: YesOption = False,
    wait: WaitOption = True,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run a prediction again, or all that match a filter. For Halley servers.

    It runs as a new prediction, whose id is printed. This has the same version, input, webhook, time limit and tags.
    Secret inputs are not kept by the server: give them again.

    \b
    Examples:
      halley predictions rerun ID
      halley predictions rerun ID seed=8 prompt="green hills"
      halley predictions watch $(halley predictions rerun ID)
      halley predictions rerun --filter "status=failed created_after=2026-01-10"
    """
    from halley.cli.bulk import BulkOptions, act, read_what
    from halley.cli.inputs import read_pairs
    from halley.cli.rerunning import rerun as run_again
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    one, members = read_what(id, filter)
    pairs = read_pairs(inputs or [])
    with connect(server, token, profile) as client:
        if one is None:
            return act(client, screen, BulkOptions(action="rerun", filter=members, limit=limit, yes=yes, wait=wait))
        made = run_again(client, screen, one, pairs, without or [])
    if as_json:
        screen.out_json(made)
    else:
        screen.out(made["id"])
    screen.note(f"Prediction {one} runs again as {made['id']}.")
    return 0


def delete_data(
    id: IdArgument = None,
    filter: FilterOption = None,
    limit: MostOption = None,
    yes: YesOption = False,
    wait: WaitOption = True,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> int:
    """Remove data of a prediction, or of all that match a filter. For Halley servers.

    Input, output, files and logs are removed at once. This cannot be undone. The record that it ran, its times, how it
    ended and its metrics stay.

    \b
    Examples:
      halley predictions delete-data ID
      halley predictions delete-data --filter "tag=trial"
    """
    from urllib.parse import quote

    from halley.cli.bulk import BulkOptions, act, read_what
    from halley.cli.session import connect

    screen = Screen()
    one, members = read_what(id, filter)
    if one is None:
        with connect(server, token, profile) as client:
            return act(
                client, screen, BulkOptions(action="delete-data", filter=members, limit=limit, yes=yes, wait=wait)
            )
    if not yes:
        screen.confirm(f"Remove the data of prediction {one}?", warning="This cannot be undone.")
    with connect(server, token, profile) as client:
        client.call("DELETE", f"/predictions/{quote(one, safe='')}/data")
    screen.note(f"The data of prediction {one} was removed.")
    return 0


def bulk(
    id: Annotated[str | None, typer.Argument(metavar="ID", help="A bulk action; without it all are listed.")] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Begin no further prediction of this action.")] = False,
    limit: LimitOption = 20,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> int:
    """List actions on many predictions, or show or stop one. For Halley servers.

    \b
    Examples:
      halley predictions bulk
      halley predictions bulk ID --stop
    """
    from halley.cli.bulk import show_action, show_actions
    from halley.cli.failures import UsageProblem
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    if id is None and stop:
        raise UsageProblem("--stop needs the id of a bulk action.", hint="`halley predictions bulk` lists them.")
    with connect(server, token, profile) as client:
        if id is not None:
            return show_action(client, screen, id, stop=stop)
        show_actions(client, screen, limit)
    return 0
