"""A request's `input` as keyword arguments. Everything that can be known beforehand is worked out once."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, Callable, Dict, List, Optional, Tuple, cast

import cog
from cog.input import MISSING

from .frames import Frame
from .predictor import Parameter, Predictor
from .shapes import Shape

Convert = Callable[[Any], Any]


class BadInput(Exception):
    """The input does not fit. The server validates first, so this is seen when it could not."""


class Inputs:
    """Made once per process."""

    def __init__(self, predictor: Predictor) -> None:
        self._rows = [_row(parameter) for parameter in predictor.parameters]
        self._names = frozenset(row[0] for row in self._rows)
        self._takes_anything = predictor.takes_anything

    def arguments(self, frame: Frame, warn: Callable[[str], None]) -> Dict[str, Any]:
        """Arguments for predict: converted, with defaults. Unknown names are left out and told to `warn`.

        Raises:
            BadInput: a required input is missing or has a value that cannot be converted.
        """
        given = frame["input"]
        for pointer in frame.get("paths") or ():
            _wrap_path(given, pointer)
        arguments: Dict[str, Any] = {}
        used = 0
        for name, convert, is_required, default, is_mutable in self._rows:
            if name in given:
                used += 1
                arguments[name] = given[name] if convert is None else _converted(name, convert, given[name])
            elif is_required:
                raise BadInput("input %s is required" % name)
            else:
                arguments[name] = copy.copy(default) if is_mutable else default
        if used != len(given):
            unknown = [name for name in given if name not in self._names]
            if self._takes_anything:
                arguments.update((name, given[name]) for name in unknown)
            else:
                warn("ignored input that this model does not have: %s\n" % ", ".join(sorted(unknown)))
        return arguments


def _row(parameter: Parameter) -> Tuple[str, Optional[Convert], bool, Any, bool]:
    convert = _converter(parameter.shape)
    default = None if parameter.info.default is MISSING else parameter.info.default
    if convert is not None and isinstance(default, (str, int, float, list, dict)):
        default = convert(default)
    return parameter.name, convert, not parameter.has_default, default, isinstance(default, (list, dict, set))


def _converted(name: str, convert: Convert, value: Any) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, OSError) as error:
        raise BadInput("input %s: %s" % (name, error)) from None


def _converter(shape: Shape) -> Optional[Convert]:
    """What to do with a JSON value of this shape; None for nothing."""
    convert: Optional[Convert] = None
    if shape.kind == "choice" and shape.python is not None:
        convert = shape.python
    elif shape.kind == "array":
        convert = _collector(None if shape.item is None else _converter(shape.item), shape.python)
    elif shape.kind == "object" and shape.item is not None:
        convert = _for_values(_converter(shape.item))
    elif shape.kind == "model":
        convert = _builder(shape)
    else:
        convert = _CONVERTERS.get(shape.kind)
    return convert if convert is None else _unless_none(convert)


def _unless_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _collector(convert: Optional[Convert], into: Any) -> Optional[Convert]:
    """For lists: each element converted, then all of them made a tuple or a set, where that is wanted."""
    if convert is None:
        return cast("Optional[Convert]", into)
    each = convert
    if into is None:
        return lambda values: [each(value) for value in values]
    return lambda values: into([each(value) for value in values])


def _for_values(convert: Optional[Convert]) -> Optional[Convert]:
    if convert is None:
        return None
    each = convert
    return lambda given: {key: each(value) for key, value in given.items()}


def _builder(shape: Shape) -> Convert:
    """An instance of the author's class, out of an object. Members that a dataclass does not have are left out; a dict
    keeps them.
    """
    members = {name: _converter(member) for name, (member, _) in shape.members.items()}

    absent = {name: None for name, (member, is_required) in shape.members.items() if is_required and member.nullable}
    author_class: Any = shape.python
    if author_class is dict:
        return lambda given: {
            name: value if members.get(name) is None else members[name](value)  # type: ignore[misc]
            for name, value in given.items()
        }
    converts = not dataclasses.is_dataclass(author_class)  # pydantic converts, and checks, by itself

    def build(given: Any) -> Any:
        if not isinstance(given, dict):
            return given  # a default may be an instance already
        if converts:
            return author_class(**{**absent, **given})
        arguments: Dict[str, Any] = dict(absent)
        for name, convert in members.items():
            if name in given:
                arguments[name] = given[name] if convert is None else convert(given[name])
        return author_class(**arguments)

    return build


def _integer(value: Any) -> Any:
    # JSON knows one kind of number: 3.0 passes as an integer
    return int(value) if type(value) is float and value.is_integer() else value


def _number(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _open(value: str) -> Any:
    return open(value, "rb")


_CONVERTERS: Dict[str, Convert] = {
    "integer": _integer,
    "number": _number,
    "path": cog.Path,
    "secret": cog.Secret,
    "file": _open,
}


def _wrap_path(given: Dict[str, Any], pointer: List[Any]) -> None:
    """Make a path of the text at this place, whether the annotation asks for one or not (`Any`, `dict`, ...)."""
    holder: Any = given
    for step in pointer[:-1]:
        holder = _inside(holder, step)
    key = pointer[-1] if isinstance(holder, dict) else int(pointer[-1])
    try:
        if isinstance(holder[key], str):
            holder[key] = cog.Path(holder[key])
    except (KeyError, IndexError):
        return  # an input that the model does not have


def _inside(holder: Any, step: Any) -> Any:
    if isinstance(holder, dict):
        return holder.get(step, {})
    return holder[int(step)]
