"""Marks that an author sets on `predict` or `run`; the runner reads them when it inspects the model."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Optional, TypeVar

Handler = TypeVar("Handler", bound=Callable[..., Any])


def streaming(handler: Optional[Handler] = None) -> Any:
    """Declare that clients may follow the output as a stream. Used bare or with empty brackets."""
    if handler is None:
        return streaming
    handler.__cog_streaming__ = True  # type: ignore[attr-defined]
    return handler


def concurrent(handler: Optional[Handler] = None, *, max: int = 1) -> Any:
    """Declare how many predictions may run at once in one process; above 1 the handler must be async.

    Used bare, which means 1, or with `max`.

    Raises:
        TypeError: `max` is not an integer, or is above 1 for a handler that is not async.
        ValueError: `max` is less than 1.
    """
    if type(max) is not int:
        raise TypeError("concurrent(max=...) takes a whole number, not %r" % (max,))
    if max < 1:
        raise ValueError("concurrent(max=...) takes a whole number of at least 1, not %r" % (max,))

    def mark(marked: Any) -> Any:
        is_async = inspect.iscoroutinefunction(marked) or inspect.isasyncgenfunction(marked)
        if max > 1 and not is_async:
            raise TypeError("concurrent(max=%d) is for async functions, and %s is none" % (max, marked.__name__))
        marked.__cog_concurrent_max__ = max
        return marked

    return mark if handler is None else mark(handler)
