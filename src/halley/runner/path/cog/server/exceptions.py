"""Where Cog's documentation has taken `CancelationException` from for years."""

from cog.exceptions import CancelationException

__all__ = ["CancelationException", "FatalWorkerException", "InvalidStateException", "RunnerBusyError"]


class FatalWorkerException(Exception):
    """Of Cog's own server; never raised here."""


class InvalidStateException(Exception):
    """Of Cog's own server; never raised here."""


class RunnerBusyError(Exception):
    """Of Cog's own server; never raised here."""
