"""Names that Cog has removed but models still import. The first use prints a notice to the log."""

from __future__ import annotations

import sys
from typing import Any

from .scope import current_scope


class ExperimentalFeatureWarning(FutureWarning):
    """Not used any more; models name it to silence it."""


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
    """The object of this name. The notice goes to standard error, because a model's warning filter could hide a
    warning.

    Raises:
        AttributeError: Cog never had this name.
    """
    if name not in _RETIRED:
        raise AttributeError("module 'cog' has no attribute %r" % name)
    found, notice = _RETIRED[name]
    sys.stderr.write(notice + "\n")
    return found
