"""Annotations with their names resolved."""

from __future__ import annotations

import inspect
import sys
import typing
from typing import Any, Callable, Dict

Warn = Callable[[str], None]


def hints_of(thing: Any, warn: Warn) -> Dict[str, Any]:
    """Annotations with names resolved. One that cannot be resolved is left out, with a warning."""
    try:
        # Python 3.8 has neither this argument nor `typing.Annotated`, which it concerns
        extras: Dict[str, Any] = {"include_extras": True} if sys.version_info >= (3, 9) else {}
        return typing.get_type_hints(thing, **extras)
    except Exception:  # one bad name must not hide the other annotations
        pass
    found: Dict[str, Any] = {}
    for name, annotation in getattr(inspect.unwrap(thing), "__annotations__", {}).items():
        try:
            found[name] = _evaluate(thing, annotation)
        except Exception as error:
            warn("annotation of %s cannot be read here (%s); any JSON value is taken" % (name, error))
    return found


def _evaluate(thing: Any, annotation: Any) -> Any:
    if not isinstance(annotation, str):
        return annotation
    plain = inspect.unwrap(thing)
    module = inspect.getmodule(plain)
    names = getattr(plain, "__globals__", None) or (vars(module) if module else {})
    return eval(annotation, dict(names))  # noqa: S307 - the model's own annotation, which Python would evaluate too
