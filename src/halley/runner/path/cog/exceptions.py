"""Where newer Cog keeps the exceptions that a model may meet."""

from .scope import CancelationException

__all__ = ["CancelationException"]
