"""For models that import exceptions from here, as in newer Cog."""

from .scope import CancelationException

__all__ = ["CancelationException"]
