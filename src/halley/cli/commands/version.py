"""`halley version`, `halley --version` and `halley help`."""

from __future__ import annotations

from typing import Annotated

import typer

from halley import __version__
from halley.cli.options import JsonOption
from halley.cli.screen import Screen


def version(as_json: JsonOption = False) -> None:
    """Print the version."""
    screen = Screen(json_only=as_json)
    if as_json:
        screen.out_json({"version": __version__})
    else:
        screen.out(f"halley {__version__}")


def help_(
    context: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]...", help="Such as: predictions list")
    ] = None,
) -> None:
    """Show the help of a command."""
    from halley.cli.failures import UsageProblem

    place = context.parent or context
    shown = place.command
    for word in command or []:
        found = getattr(shown, "commands", {}).get(word)
        if found is None:
            raise UsageProblem(f"There is no command {' '.join(command or [])!r}.", hint="`halley help` lists them.")
        place = typer.Context(found, info_name=word, parent=place)
        shown = found
    Screen().out(shown.get_help(place))
