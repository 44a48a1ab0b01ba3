"""The errors of commands, and the one table that maps errors to exit codes."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from halley import errors
from halley.settings import SettingsError


class ExitCode(IntEnum):
    """The exit codes of the commands. Source: the manual's table of exit codes."""

    SUCCEEDED = 0
    BUG = 1
    USAGE = 2
    UNREACHABLE = 3
    FAILED = 4
    CANCELED = 5
    UNAUTHORISED = 6
    NOT_FOUND = 7
    LIMIT = 8
    STILL_RUNNING = 9
    INTERRUPTED = 130


class CommandError(errors.HalleyError):
    """An expected error of a command: the message says what happened, `hint` what to do."""

    code = "command"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageProblem(CommandError):
    """The command line, or a file that it names, is not valid."""

    code = "usage"


class Unreachable(CommandError):
    """No usable answer: no server listens, the connection broke, or the server is not a prediction API."""

    code = "unreachable"


class NoEventLog(CommandError):
    """The server has no event log: the command polls the prediction instead."""

    code = "no_event_log"


class StillRunning(CommandError):
    """The time limit has passed; the prediction continues."""

    code = "still_running"


class NotSaved(CommandError):
    """At least one file of the output could not be stored; stored files stay."""

    code = "not_saved"


class OutputMissing(NotSaved):
    """The prediction succeeded, but the server has no output for it; `prediction` is its last answer."""

    code = "output_missing"

    def __init__(self, prediction: dict[str, Any]) -> None:
        name = prediction.get("id")
        super().__init__(
            f"Prediction {name} succeeded, but the server sent no output.",
            hint=f"Run it again later: halley predictions watch {name}",
        )
        self.prediction = prediction


class ServerRefused(CommandError):
    """The server refused the request. `status` is the HTTP status that its answer means."""

    code = "server_refused"

    def __init__(self, status: int, message: str, *, hint: str = "", body: Any = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.body = body


class LinkGone(NotSaved):
    """The link has expired or is refused; a new one may exist."""

    code = "link_gone"


# the first matching row is used; subclasses come before their bases
_BY_ERROR: Final[tuple[tuple[type[Exception], ExitCode], ...]] = (
    (UsageProblem, ExitCode.USAGE),
    (Unreachable, ExitCode.UNREACHABLE),
    (StillRunning, ExitCode.STILL_RUNNING),
    (LinkGone, ExitCode.NOT_FOUND),
    (NotSaved, ExitCode.UNREACHABLE),
    (SettingsError, ExitCode.USAGE),
    (errors.NotAuthenticated, ExitCode.UNAUTHORISED),
    (errors.Forbidden, ExitCode.UNAUTHORISED),
    (errors.NotFound, ExitCode.NOT_FOUND),
    (errors.QueueFull, ExitCode.LIMIT),
    (errors.Busy, ExitCode.LIMIT),
    (errors.SubmitLimitReached, ExitCode.LIMIT),
    (errors.Unusable, ExitCode.USAGE),
    (errors.ModelBroken, ExitCode.USAGE),
    (errors.Refused, ExitCode.USAGE),
)
_BY_HTTP: Final = {
    401: ExitCode.UNAUTHORISED,
    402: ExitCode.LIMIT,
    403: ExitCode.UNAUTHORISED,
    404: ExitCode.NOT_FOUND,
    410: ExitCode.NOT_FOUND,
    429: ExitCode.LIMIT,
}
_BY_STATUS: Final = {
    "succeeded": ExitCode.SUCCEEDED,
    "failed": ExitCode.FAILED,
    "canceled": ExitCode.CANCELED,
    "aborted": ExitCode.CANCELED,
}


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code for this error; an unexpected error is a bug in Halley."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, ServerRefused):
        return _BY_HTTP.get(error.status, ExitCode.USAGE if error.status < 500 else ExitCode.UNREACHABLE)
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.BUG)


def exit_code_of_status(status: str) -> ExitCode:
    """Return the exit code for a prediction's status; one that has not ended counts as a timeout."""
    return _BY_STATUS.get(status, ExitCode.STILL_RUNNING)
