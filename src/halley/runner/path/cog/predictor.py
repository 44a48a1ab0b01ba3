"""The classes that a model may inherit from. A class that does not is just as welcome."""

from __future__ import annotations

from typing import Any, Optional, Union

from .scope import Scope, current_scope
from .types import Path


class BaseRunner:
    """`setup` runs once in each process, then `run` (or `predict`) once for each prediction."""

    def setup(self, weights: Optional[Union[Path, str]] = None) -> Any:
        """Load what `run` needs. Does nothing unless overridden; may be `async`."""

    @property
    def scope(self) -> Scope:
        """The prediction that this code runs for."""
        return current_scope()

    def record_metric(self, key: str, value: Any, mode: str = "replace") -> None:
        """Report a figure about this prediction; see `Scope.record_metric`."""
        current_scope().record_metric(key, value, mode)


class BasePredictor(BaseRunner):
    """The older name, for a class whose method is called `predict`."""
