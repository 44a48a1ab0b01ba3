"""Outputs as JSON text, and the places in them that hold a file's path."""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Any, Dict, List, Tuple

import cog

from .bounds import DEPTH_LIMIT, fault
from .files import BadOutput, is_file_like, put_into_run_folder
from .frames import text_to_json, to_json
from .prediction import Prediction

Pointer = List[Any]


def encode(value: Any, prediction: Prediction) -> Tuple[str, str]:
    """JSON text of an output, and of the list of pointers to file paths in it.

    Files are put into the run folder.

    Raises:
        BadOutput: a part of the value cannot be sent.
        Exception: what the model's own conversions (`model_dump`, `item`, ...) raise.
    """
    if type(value) is str:
        return text_to_json(value), "[]"
    paths: List[Pointer] = []
    try:
        text = to_json(value)  # most outputs are plain JSON already, and the C encoder is fast
    except (TypeError, ValueError, RecursionError):  # files, classes, NaN: walk the value to convert them
        text = to_json(_Walk(prediction, paths).plain(value, []))
    unfit = fault(text)
    if unfit is not None:
        raise BadOutput("the output " + unfit)
    return text, to_json(paths) if paths else "[]"


class _Walk:
    def __init__(self, prediction: Prediction, paths: List[Pointer]) -> None:
        self._prediction = prediction
        self._paths = paths

    def plain(self, value: Any, place: Pointer) -> Any:
        if len(place) > DEPTH_LIMIT:
            raise BadOutput("the output is nested more than %d deep, or contains itself" % DEPTH_LIMIT)
        if isinstance(value, enum.Enum):
            return self.plain(value.value, place)
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return self._number(value, place)
        if isinstance(value, dict):
            return {_key(key, place): self.plain(item, [*place, _key(key, place)]) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.plain(item, [*place, index]) for index, item in enumerate(value)]
        if is_file_like(value):
            path = put_into_run_folder(value, self._prediction)
            self._paths.append(place)
            return path
        return self.plain(_unwrapped(value, place), place)

    def _number(self, value: float, place: Pointer) -> float:
        if not math.isfinite(value):
            raise BadOutput("%s is %r, which JSON cannot say; return None or text instead" % (_where(place), value))
        return float(value)


def _unwrapped(value: Any, place: Pointer) -> Any:
    """Remove one layer: a data class becomes a dict, an array a list, a library's scalar a number."""
    if isinstance(value, cog.Secret):
        raise BadOutput("%s is a Secret, which is never sent" % _where(place))
    if isinstance(value, type) or callable(value):
        raise _unsupported(value, place)
    if dataclasses.is_dataclass(value):
        return _members(value, [field.name for field in dataclasses.fields(value)])
    for name in ("model_dump", "tolist", "isoformat"):  # pydantic 2; NumPy, PyTorch; dates
        method = getattr(value, name, None)
        if callable(method):
            return _changed(value, method(), place)
    fields = getattr(type(value), "__fields__", None)  # pydantic 1
    if isinstance(fields, dict):
        return _members(value, list(fields))
    item = getattr(value, "item", None)
    if callable(item):
        return _changed(value, item(), place)
    if hasattr(value, "__next__"):  # a generator whose annotation does not say so
        return list(value)
    raise _unsupported(value, place)


def _members(value: Any, names: List[str]) -> Dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _changed(before: Any, after: Any, place: Pointer) -> Any:
    if type(after) is type(before):  # would be converted without end
        raise _unsupported(before, place)
    return after


def _key(key: Any, place: Pointer) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return str(key)
    if isinstance(key, (int, float)) and not isinstance(key, bool):
        return str(key)
    raise BadOutput("%s has a key of type %s; keys are text" % (_where(place), type(key).__name__))


def _unsupported(value: Any, place: Pointer) -> BadOutput:
    hint = (
        "write it to a file and return its cog.Path"
        if isinstance(value, (bytes, bytearray))
        else ("return text, numbers, lists, dicts, cog.Path or a cog.BaseModel")
    )
    return BadOutput("%s is of type %s, which cannot be sent as JSON; %s" % (_where(place), type(value).__name__, hint))


def _where(place: Pointer) -> str:
    return "the output" if not place else "output" + "".join("[%s]" % to_json(step) for step in place)
