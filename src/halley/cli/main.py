"""The `halley` command: its tree of commands, and the one place where errors become words and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from halley.cli.commands import (
    check,
    config,
    demo,
    env,
    files,
    init,
    keys,
    models,
    predictions,
    ps,
    run,
    serve,
    version,
    webhooks,
)
from halley.cli.failures import ExitCode
from halley.cli.reporting import explain
from halley.cli.screen import Screen, take_any_text

app = typer.Typer(
    name="halley",
    help="Serve models through the Replicate HTTP API, and use any server that has this API.\n\n"
    "\b\nFirst steps:\n"
    "  halley demo\n"
    '  halley run demo/paint prompt="green hills" -o hills.webp\n'
    '  eval "$(halley env)"',
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,  # rich costs more than the whole rest of --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback()
def options(
    version_: Annotated[
        bool,
        typer.Option("--version", "-V", callback=version.print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("run")(run.run)
app.add_typer(predictions.app, name="predictions")
app.add_typer(models.app, name="models")
app.add_typer(files.app, name="files")
app.command("ps")(ps.ps)
app.add_typer(keys.app, name="keys")
app.add_typer(webhooks.app, name="webhooks")
app.command("env")(env.env)
app.command("init")(init.init)
app.command("check")(check.check)
app.add_typer(config.app, name="config")
app.command("version")(version.version)
app.command("help")(version.help_)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    sys.exit(run_command(sys.argv[1:] if arguments is None else arguments))


def run_command(arguments: Sequence[str], screen: Screen | None = None) -> int:
    """Run one command and give its exit code; expected errors become a few words on stderr."""
    for stream in (sys.stdout, sys.stderr):
        take_any_text(stream)
    try:
        code = app(args=list(arguments), prog_name="halley", standalone_mode=False)
        return int(code) if isinstance(code, int) else ExitCode.SUCCEEDED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except SystemExit:
        # The parser's way to say that the reader of our output has gone (`| head`): it has what it wanted.
        return ExitCode.SUCCEEDED
    except Exception as error:  # noqa: BLE001 - the last place: nothing may leave as a traceback
        return _explain(error, screen or Screen())


def _explain(error: Exception, screen: Screen) -> int:
    if isinstance(error, typer.Abort):
        return ExitCode.INTERRUPTED
    show = getattr(error, "show", None)
    if callable(show):  # a wrong option or argument: the parser's own words, and its exit code 2
        show()
        return int(getattr(error, "exit_code", ExitCode.USAGE))
    return explain(error, screen)


if __name__ == "__main__":
    main()
