"""Metrics that a model reports about a prediction."""

from __future__ import annotations

import math
import re
from typing import Any, Optional

from .bounds import fault
from .frames import to_json
from .journal import Journal
from .prediction import Prediction

MODES = ("replace", "incr", "append")
NAME_LIMIT_CHARS = 128
NAME_LIMIT_PARTS = 4
DEPTH_LIMIT = 64
_PART = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def report(journal: Journal, prediction: Prediction, name: str, value: Any, mode: Optional[str]) -> None:
    """Check a metric and send it, unless its prediction has ended. The value None removes the metric.

    Raises:
        ValueError: the name is not allowed.
        TypeError: the mode does not exist, or the value is not JSON or of another kind than before.
    """
    _check_name(name)
    mode = mode or "replace"
    if mode not in MODES:
        raise TypeError("metric %s: mode is one of %s, not %r" % (name, ", ".join(MODES), mode))
    if value is None and mode == "replace":
        if prediction.kinds.pop(name, None) is not None and not prediction.ended:
            journal.emit(prediction, "metric", ',"name":%s,"value":null,"mode":"replace"' % to_json(name))
        return
    kind = "list" if mode == "append" else _kind(value)
    if mode == "incr" and kind != "number":
        raise TypeError("metric %s: only a number can be added up, not %s" % (name, type(value).__name__))
    if hasattr(value, "item") and kind == "number":
        value = value.item()
    text = _json(name, value, mode)
    unfit = fault(text)
    if unfit is not None:
        raise TypeError("metric %s %s" % (name, unfit))
    before = prediction.kinds.setdefault(name, kind)
    if before != kind:
        raise TypeError("metric %s is a %s already and cannot become a %s" % (name, before, kind))
    if not prediction.ended:
        journal.emit(prediction, "metric", ',"name":%s,"value":%s,"mode":"%s"' % (to_json(name), text, mode))


def _json(name: str, value: Any, mode: str) -> str:
    """JSON text of the value. NaN and infinity, which JSON cannot express, become null, as in Cog; in a sum
    they add 0.
    """
    try:
        return to_json(value)
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        return to_json(0 if mode == "incr" else _finite(value, 0))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError("metric %s: %s" % (name, error)) from None


def _finite(value: Any, depth: int) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if depth < DEPTH_LIMIT and isinstance(value, dict):
        return {key: _finite(item, depth + 1) for key, item in value.items()}
    if depth < DEPTH_LIMIT and isinstance(value, (list, tuple)):
        return [_finite(item, depth + 1) for item in value]
    return value


def _check_name(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError("a metric's name is text, not %r" % (name,))
    parts = name.split(".")
    fits = len(name) <= NAME_LIMIT_CHARS and len(parts) <= NAME_LIMIT_PARTS
    if not fits or "__" in name or not all(_PART.match(part) and part[-1] != "_" for part in parts):
        raise ValueError(
            "metric name %r: up to %d parts joined by dots and %d characters; a part begins with a letter, ends with a "
            "letter or digit, and holds letters, digits and single underscores"
            % (name, NAME_LIMIT_PARTS, NAME_LIMIT_CHARS)
        )
    if name == "predict_time" or name.startswith("cog."):
        raise ValueError("metric name %r is measured by the server itself; take another" % name)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    for python, kind in ((str, "text"), ((list, tuple), "list"), (dict, "object")):
        if isinstance(value, python):
            return kind
    return "number" if hasattr(value, "item") else "value"
