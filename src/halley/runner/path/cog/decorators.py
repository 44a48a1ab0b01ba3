"""Marks that an author puts on `predict` or `run`; the runner reads them when it inspects the model."""

from __future__ import annotations

from typing import Any, Callable, Optional, TypeVar

Handler = TypeVar("Handler", bound=Callable[..., Any])


class ExperimentalFeatureWarning(FutureWarning):
    """Given for features whose interface may still change."""


def streaming(handler: Optional[Handler] = None) -> Any:
    """Say that clients may follow the output as a stream. Used bare or with empty brackets."""
    if handler is None:
        return streaming
    handler.__cog_streaming__ = True  # type: ignore[attr-defined]
    return handler


def concurrent(*, max: int) -> Callable[[Handler], Handler]:
    """Say how many predictions may run at once in one process; above 1 the handler must be async.

    Raises:
        ValueError: `max` is not a whole number of at least 1.
    """
    if type(max) is not int or max < 1:
        raise ValueError("concurrent(max=...) takes a whole number of at least 1, not %r" % (max,))

    def mark(handler: Handler) -> Handler:
        handler.__cog_concurrent_max__ = max  # type: ignore[attr-defined]
        return handler

    return mark
