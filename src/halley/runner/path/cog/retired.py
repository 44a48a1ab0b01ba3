"""Names that Cog has given up but that models still import. Asking for one says so, once, where logs are read."""

from __future__ import annotations

import sys
from typing import Any

from .scope import current_scope


class ExperimentalFeatureWarning(FutureWarning):
    """Nothing gives this warning any more; models name it to silence it."""


def emit_metric(name: str, value: Any) -> None:
    """Report a figure about this prediction, as `record_metric` does."""
    current_scope().record_metric(name, value)


_RETIRED = {
    "ExperimentalFeatureWarning": (
        ExperimentalFeatureWarning,
        "cog.ExperimentalFeatureWarning is deprecated and never given; remove its import and its filter",
    ),
    "emit_metric": (emit_metric, "cog.emit_metric is deprecated; use current_scope().record_metric(name, value)"),
}


def retired(name: str) -> Any:
    """The object of this name. Written to standard error, not warned: a model's warning filter must not hide it.

    Raises:
        AttributeError: there never was one.
    """
    if name not in _RETIRED:
        raise AttributeError("module 'cog' has no attribute %r" % name)
    found, notice = _RETIRED[name]
    sys.stderr.write(notice + "\n")
    return found
