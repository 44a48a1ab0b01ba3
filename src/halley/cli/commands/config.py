"""`halley config`: what is set, and where it was set."""

from __future__ import annotations

from typing import Annotated

import typer

from halley.cli.options import ConfigOption, JsonOption
from halley.cli.screen import Screen

app = typer.Typer(help="Show and check the settings of the server.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show")
def show(
    config: ConfigOption = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not a default.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print every setting with its value and its origin; secrets are masked.

    \b
    Examples:
      halley config show --changed
    """
    from halley.cli.starting import settings_from
    from halley.settings import shown

    rows = [row for row in shown(settings_from(config, {})) if not changed or row[2] != "default"]
    screen = Screen(json_only=as_json)
    if as_json:
        screen.out_json([{"name": name, "value": value, "origin": origin} for name, value, origin in rows])
    else:
        screen.table(["SETTING", "VALUE", "ORIGIN"], rows)


@app.command("validate")
def validate(config: ConfigOption = None) -> None:
    """Read the settings from all sources and say whether they are fit."""
    from halley.cli.failures import UsageProblem
    from halley.cli.starting import settings_from

    settings = settings_from(config, {})
    missing = [f"{name}: {model.path}" for name, model in settings.models.items() if not model.path.exists()]
    if missing:
        raise UsageProblem(
            f"There is no folder or file for {'; '.join(missing)}.",
            hint="`halley serve` would refuse it: correct path.",
        )
    screen = Screen()
    screen.note(f"The settings are fit: {len(settings.origins)} set, the rest are defaults.")
