"""The `halley` command: all commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from halley.cli.plain_arguments import read_plainly
from halley.cli.screen import Screen, take_any_text
from halley.cli.tree import Root

INTERRUPTED: Final = 130  # ExitCode.INTERRUPTED; the module of errors is loaded only after an error

app = typer.Typer(
    name="halley",
    cls=Root,
    help="Serve models through the Replicate HTTP API, and use any server that has this API.\n\n"
    "\b\nFirst steps:\n"
    "  halley demo\n"
    '  halley run demo/paint prompt="green hills" -o hills.webp\n'
    '  eval "$(halley env)"',
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,  # rich would take longer than the rest of --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def print_version(wanted: bool) -> None:
    """Print the version and end, for the option of that name."""
    if wanted:
        from halley.cli.commands.version import version

        version()
        raise typer.Exit


@app.callback()
def options(
    version_: Annotated[
        bool,
        typer.Option("--version", "-V", callback=print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Read the options before a command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    sys.exit(run_command(sys.argv[1:] if arguments is None else arguments))


def run_command(arguments: Sequence[str], screen: Screen | None = None) -> int:
    """Run one command and return its exit code; expected errors become a short message on stderr."""
    for stream in (sys.stdout, sys.stderr):
        take_any_text(stream)
    read_plainly()
    try:
        code = app(args=list(arguments), prog_name="halley", standalone_mode=False)
        return int(code) if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit:
        # the parser reports a closed output in this way (`| head`): the reader has what it needs
        return 0
    except Exception as error:  # noqa: BLE001 - last resort: no error may end as a traceback
        return _explain(error, screen or Screen())


def _explain(error: Exception, screen: Screen) -> int:
    from halley.cli.failures import ExitCode
    from halley.cli.reporting import explain

    if isinstance(error, typer.Abort):
        return ExitCode.INTERRUPTED
    show = getattr(error, "show", None)
    if callable(show):  # a wrong option or argument: the parser's message and its exit code 2
        show()
        return int(getattr(error, "exit_code", ExitCode.USAGE))
    return explain(error, screen)


if __name__ == "__main__":
    main()
