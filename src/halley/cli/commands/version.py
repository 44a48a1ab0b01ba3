"""`halley version`."""

from __future__ import annotations

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
