"""Commands of `halley predictions` that change something: cancel, run again, remove data."""

from __future__ import annotations

from typing import Annotated

import typer

from halley.cli.options import JsonOption, ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The prediction's id.")]


def rerun(
    id: IdArgument,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT]...", help="Inputs to change, as for `halley run`; the others stay."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="NAME", help="Leave this input out; may be repeated.")
    ] = None,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a prediction again on a Halley server, as a new one, and print its id.

    It has the same version, input, webhook and time limit. Secret inputs are not kept by the server: give them again.

    \b
    Examples:
      halley predictions rerun ID
      halley predictions rerun ID seed=8 prompt="green hills"
      halley predictions watch $(halley predictions rerun ID)
    """
    from halley.cli.inputs import read_pairs
    from halley.cli.rerunning import rerun as run_again
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    pairs = read_pairs(inputs or [])
    with connect(server, token, profile) as client:
        made = run_again(client, screen, id, pairs, without or [])
    if as_json:
        screen.out_json(made)
    else:
        screen.out(made["id"])
    screen.note(f"Prediction {id} runs again as {made['id']}.")
