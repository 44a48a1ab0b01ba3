"""The classes that a model may inherit from. Inheriting is optional."""

from __future__ import annotations

from typing import Any, Optional, Union

from .scope import Scope, current_scope
from .types import Path


class BaseRunner:
    """`setup` runs once in each process, then `run` (or `predict`) once for each prediction."""

    def setup(self, weights: Optional[Union[Path, str]] = None) -> Any:
        """Load what `run` needs. Does nothing unless overridden; may be `async`."""

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Used as `predict` by a model that has only `run`.

        Raises:
            NotImplementedError: the model has neither.
        """
        if type(self).predict is not BaseRunner.predict:
            return self.predict(*args, **kwargs)
        raise NotImplementedError("%s has neither a run nor a predict method" % type(self).__name__)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """The older name of `run`, for callers that still use it.

        Raises:
            NotImplementedError: see `run`.
        """
        return self.run(*args, **kwargs)

    @property
    def scope(self) -> Scope:
        """The prediction in which this code runs."""
        return current_scope()

    def record_metric(self, key: str, value: Any, mode: str = "replace") -> None:
        """Report a figure about this prediction; see `Scope.record_metric`."""
        current_scope().record_metric(key, value, mode)


class BasePredictor(BaseRunner):
    """The older name, for a class whose method is called `predict`."""
