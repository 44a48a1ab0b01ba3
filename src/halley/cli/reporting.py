"""Turns an error of a command into a message on stderr and an exit code."""

from __future__ import annotations

import errno
from typing import Final

from halley.cli.failures import CommandError, exit_code_of
from halley.cli.screen import Screen
from halley.errors import HalleyError
from halley.settings import SettingsError

_FULL: Final = (
    "Free some space on the disk that is written to (a server's data folder: `--data`), or choose another place."
)


def explain(error: Exception, screen: Screen) -> int:
    """Print what went wrong and what to do; an unexpected error is written to a report file, whose path is printed."""
    if isinstance(error, HalleyError | SettingsError):
        screen.error(str(error), error.hint if isinstance(error, CommandError) else "")
    elif isinstance(error, OSError):
        hint = _FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        screen.error(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.", hint)
    else:
        import traceback

        from halley.cli.results import write_report

        path = write_report("".join(traceback.format_exception(error)))
        screen.error(f"something unexpected: {type(error).__name__}: {error}", f"The details are in {path}.")
    return exit_code_of(error)
