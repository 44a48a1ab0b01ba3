"""What code can say, and learn, about the prediction that it runs for."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

Recorder = Callable[[str, Any, Optional[str]], None]
"""Takes name, value and mode; the value None means that the metric is taken back."""


class CancelationException(BaseException):
    """Raised inside a sync `predict` when its prediction is cancelled. Clean up, then raise it again.

    A BaseException, so that `except Exception` in a model does not swallow it.
    """


class Metrics:
    """A prediction's metrics, written as one writes to a dict: `metrics["tokens"] = 5`, `del metrics["tokens"]`."""

    def __init__(self, record: Optional[Recorder]) -> None:
        self._record = record

    def record(self, key: str, value: Any, mode: Optional[str] = "replace") -> None:
        """See `Scope.record_metric`."""
        if self._record is not None:
            self._record(key, value, mode)

    def delete(self, key: str) -> None:
        """Take a metric back; afterwards it may become one of another kind."""
        self.record(key, None)

    def __setitem__(self, key: str, value: Any) -> None:
        self.record(key, value)

    def __delitem__(self, key: str) -> None:
        self.delete(key)


class Scope:
    """One prediction, seen from inside."""

    def __init__(self, context: Optional[Dict[str, str]] = None, record: Optional[Recorder] = None) -> None:
        self.context: Dict[str, str] = {} if context is None else context
        """Free text pairs that the request carried."""
        self.metrics = Metrics(record)

    def record_metric(self, key: str, value: Any, mode: Optional[str] = "replace") -> None:
        """Report a figure about this prediction; `predict_time` and names in `cog.` are taken.

        `mode` is `replace` (the last one counts), `incr` (numbers are added up) or `append` (a list grows);
        None is the first of these. None as value takes the metric back.
        Outside a prediction this does nothing, so that an author can call `predict` directly.

        Raises:
            ValueError: the name is not allowed.
            TypeError: there is no such mode, or the value is not JSON, or of another kind than this metric had before.
        """
        self.metrics.record(key, value, mode)


def _no_scope() -> Optional[Scope]:
    return None


find_scope: Callable[[], Optional[Scope]] = _no_scope
"""Filled by the runner. Without one, for example in a spawned process, there is no prediction."""


def current_scope() -> Scope:
    """The prediction that the calling code runs for; an inert one outside a prediction."""
    return find_scope() or Scope()
