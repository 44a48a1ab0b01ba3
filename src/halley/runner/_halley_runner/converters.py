"""Converts JSON values to what the annotation says. The conversion is chosen once for each shape."""

from __future__ import annotations

import enum
from typing import Any, Callable, Dict, List, Optional, cast

import cog

from .fields import from_json, is_pydantic
from .shapes import Shape, text_of_path

Convert = Callable[[Any], Any]


def converter(shape: Shape) -> Optional[Convert]:
    """The function that converts a JSON value of this shape; None if there is nothing to convert."""
    convert: Optional[Convert] = None
    if shape.kind == "choice" and shape.python is not None:
        convert = _chooser(shape.python)
    elif shape.kind == "array":
        convert = _collector(None if shape.item is None else converter(shape.item), shape.python)
    elif shape.kind == "object" and shape.item is not None:
        convert = _for_values(converter(shape.item))
    elif shape.kind == "model":
        convert = _builder(shape)
    elif shape.kind == "union" and shape.python is not None:
        convert = _by_kind(shape)
    else:
        convert = _CONVERTERS.get(shape.kind)
    if shape.root is not None:
        convert = _rooted(shape.root)
    return convert if convert is None else _unless_none(convert)


def _unless_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _chooser(python: Any) -> Convert:
    """For an enumeration: its member for this value. A path becomes a path. A default may be a member already."""
    if not (isinstance(python, type) and issubclass(python, enum.Enum)):
        return cast("Convert", python)
    by_text = {
        text_of_path(member.value): member for member in python if text_of_path(member.value) is not member.value
    }

    def choose(value: Any) -> Any:
        return by_text[value] if isinstance(value, str) and value in by_text else python(value)

    return choose


def _collector(convert: Optional[Convert], into: Any) -> Optional[Convert]:
    """For lists: convert each element, then make a tuple or a set of them if the annotation asks for one."""
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


def _by_kind(shape: Shape) -> Convert:
    """Makes a named tuple from an object or a list."""
    cls, build = shape.python, _builder(shape.parts[0])
    members = [converter(part) for part in shape.parts[1].parts]

    def make(given: Any) -> Any:
        if isinstance(given, cls) or not isinstance(given, list):
            return build(given)
        if len(given) > len(members):
            raise TypeError("%s has %d members, not %d" % (cls.__name__, len(members), len(given)))
        return cls(*[value if convert is None else convert(value) for value, convert in zip(given, members)])

    return make


def _rooted(cls: Any) -> Convert:
    make = from_json(cls)
    return lambda value: value if isinstance(value, cls) else make(value)


def _builder(shape: Shape) -> Convert:
    """Makes an instance of the author's class from an object. Members that a dataclass does not have are left out; a
    dict keeps them.
    """
    members = {name: converter(member) for name, (member, _) in shape.members.items()}
    absent = {name: None for name, (member, is_required) in shape.members.items() if is_required and member.nullable}
    author_class: Any = shape.python
    if author_class is dict:
        return lambda given: {
            name: value if members.get(name) is None else members[name](value)  # type: ignore[misc]
            for name, value in given.items()
        }
    converts = is_pydantic(author_class)  # pydantic converts and checks by itself

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
    # JSON has one kind of number: 3.0 passes as an integer
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


def is_made_by_author(shape: Shape) -> bool:
    """Whether code of the model or of a library takes part in making a value of this shape."""
    below: List[Shape] = [*shape.parts, *(member for member, _ in shape.members.values())]
    if shape.item is not None:
        below.append(shape.item)
    own = shape.root is not None or (shape.kind == "model" and shape.python is not dict)
    return own or (shape.kind == "union" and shape.python is not None) or any(is_made_by_author(part) for part in below)
