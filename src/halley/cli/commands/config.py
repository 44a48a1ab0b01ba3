"""`halley config`: shows the settings and their origins."""

from __future__ import annotations

from typing import Annotated

import typer

from halley.cli.options import ConfigOption, JsonOption
from halley.cli.screen import Screen

app = typer.Typer(help="Show and check the settings of the server.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show")
def show(
    config: ConfigOption = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only settings that differ from their defaults.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print every setting with its value and its origin. Secrets are masked.

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
    """Check the settings, as `halley serve` does.

    The settings of all sources are checked, and the files and variables that they name. Providers that cannot be
    reached are only warned of. Exit code 2 if the server would not start, or would start without one of the models.
    """
    from halley.cli.checking import broken_models, faults_of, unreachable_upstreams
    from halley.cli.failures import UsageProblem
    from halley.cli.starting import settings_from

    settings = settings_from(config, {})
    if faults := faults_of(settings):
        raise UsageProblem("\n".join(faults), hint="`halley serve` would not start.")
    if broken := broken_models(settings):
        raise UsageProblem("\n".join(broken), hint="`halley serve` would start, and serve the other models.")
    screen = Screen()
    for warning in unreachable_upstreams(settings):
        screen.note(f"warning: {warning} `halley serve` would start, and use it when it answers.")
    count = len(settings.origins)
    screen.note(f"Configuration is valid ({count} setting{'' if count == 1 else 's'} changed).")
