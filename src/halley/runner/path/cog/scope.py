"""How code reads and reports data about the prediction in which it runs."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

Recorder = Callable[[str, Any, Optional[str]], None]
"""Takes name, value and mode; the value None removes the metric."""


class CancelationException(BaseException):
    """Raised inside a sync `predict` when its prediction is cancelled. Clean up, then raise it again.

    A BaseException, so that `except Exception` in a model does not catch it.
    """


class Metrics:
    """A prediction's metrics, used like a dict: `metrics["tokens"] = 5`, `del metrics["tokens"]`."""

    def __init__(self, record: Optional[Recorder]) -> None:
        self._record = record

    def record(self, key: str, value: Any, mode: Optional[str] = "replace") -> None:
        """See `Scope.record_metric`."""
        if self._record is not None:
            self._record(key, value, mode)

    def delete(self, key: str) -> None:
        """Remove a metric; afterwards it may be reported as another kind."""
        self.record(key, None)

    def __setitem__(self, key: str, value: Any) -> None:
        self.record(key, value)

    def __delitem__(self, key: str) -> None:
        self.delete(key)


class Scope:
    """One prediction, as its own code sees it."""

    def __init__(self, context: Optional[Dict[str, str]] = None, record: Optional[Recorder] = None) -> None:
        self.context: Dict[str, str] = {} if context is None else context
        """Text pairs of the request's context."""
        self.metrics = Metrics(record)

    def record_metric(self, key: str, value: Any, mode: Optional[str] = "replace") -> None:
        """Report a figure about this prediction; `predict_time` and names that begin with `cog.` are reserved.

        `mode` is `replace` (the last value counts), `incr` (numbers are added up) or `append` (a list grows); None
        means `replace`. None as value removes the metric. Outside a prediction this does nothing, so that an author can
        call `predict` directly.

        Raises:
            ValueError: the name is not allowed.
            TypeError: the mode does not exist, or the value is not JSON or of another kind than before.
        """
        self.metrics.record(key, value, mode)


def _no_scope() -> Optional[Scope]:
    return None


find_scope: Callable[[], Optional[Scope]] = _no_scope
"""Set by the runner. Without a runner, for example in a spawned process, there is no prediction."""


def current_scope() -> Scope:
    """The prediction that the calling code runs for; outside a prediction, a scope without effect."""
    return find_scope() or Scope()
