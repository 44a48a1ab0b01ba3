"""For models that import `CancelationException` from here, as Cog's documentation long said."""

from cog.exceptions import CancelationException

__all__ = ["CancelationException", "FatalWorkerException", "InvalidStateException", "RunnerBusyError"]


class FatalWorkerException(Exception):
    """Exists in Cog's own server; never raised here."""


class InvalidStateException(Exception):
    """Exists in Cog's own server; never raised here."""


class RunnerBusyError(Exception):
    """Exists in Cog's own server; never raised here."""
