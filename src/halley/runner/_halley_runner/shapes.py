"""Parses annotations into one `Shape` tree, from which schema and conversions are made."""

from __future__ import annotations

import collections
import collections.abc
import enum
import inspect
import io
import os
import pathlib
import typing
from typing import Any, Callable, Dict, List, Optional, Tuple

import cog

from .fields import Field, fields_of, is_named_tuple, root_of
from .hints import hints_of

PLAIN: Dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
DEPTH_LIMIT = 8  # a class that contains itself has no finite schema without references

ITERATORS = (
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)
COLLECTED = (tuple, set, frozenset, collections.deque)
"""Types that an input's list is converted to, if the annotation asks for them."""
LISTS = (
    collections.deque,
    collections.abc.Collection,
    collections.abc.Iterable,
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Set,
    collections.abc.MutableSet,
)
"""Further types that are a list in JSON."""
CONCATENATED = (cog.ConcatenateIterator, cog.AsyncConcatenateIterator)

Warn = Callable[[str], None]


class Shape:
    """A parsed annotation.

    `kind` is string, integer, number, boolean, path, file, secret, any, none, object, array, choice, union or model;
    the other members are set for the kinds that use them.
    """

    def __init__(self, kind: str, **members: Any) -> None:
        self.kind = kind
        self.nullable: bool = False
        self.item: Optional[Shape] = None
        """The element of an array or the value of an object; None means any."""
        self.parts: List[Shape] = []
        """The members of a union; of an array with a fixed form, its elements."""
        self.options: List[Any] = []
        """The values of a choice, as JSON."""
        self.python: Any = None
        """The enum class of a choice, the class of a model; of an array, the type that is made of the list."""
        self.length: Optional[int] = None
        """How many elements an array has, if that is fixed."""
        self.title = ""
        self.members: Dict[str, Tuple[Shape, bool]] = {}
        """Of a model: each member's shape, and whether it is required."""
        self.fields: List[Field] = []
        """Of a model: the fields of its class."""
        self.root: Any = None
        """The pydantic root model that stands for a bare value of this shape."""
        vars(self).update(members)


def shape_of(annotation: Any, warn: Warn, depth: int = 0) -> Shape:
    """Parse one annotation. An unknown one becomes `any`, with a warning: the model is not refused."""
    if annotation is inspect.Parameter.empty or annotation is Any or annotation is object or depth > DEPTH_LIMIT:
        return Shape("any")
    if annotation is None or annotation is type(None):
        return Shape("none", nullable=True)
    if annotation in PLAIN if _hashable(annotation) else False:
        return Shape(PLAIN[annotation])
    origin = typing.get_origin(annotation)
    if origin is not None:
        return _generic(annotation, origin, typing.get_args(annotation), warn, depth)
    supertype = getattr(annotation, "__supertype__", None)  # NewType
    if supertype is not None:
        return shape_of(supertype, warn, depth + 1)
    if isinstance(annotation, type):
        known = _class(annotation, warn, depth)
        if known is not None:
            return known
    warn("type %s is not known here; any JSON value is taken" % _name(annotation))
    return Shape("any")


def holds_file(shape: Shape) -> bool:
    """Whether a value of this shape is a file or contains one."""
    below = [*shape.parts, *(member for member, _ in shape.members.values())]
    if shape.item is not None:
        below.append(shape.item)
    return shape.kind in ("path", "file") or any(holds_file(part) for part in below)


def literal(values: List[Any], python: Any = None, title: str = "") -> Shape:
    """One of these values, with None standing for "may be null"."""
    options = [text_of_path(value) for value in values if value is not None]
    return Shape("choice", options=options, nullable=len(options) < len(values), python=python, title=title)


def text_of_path(value: Any) -> Any:
    """Paths as text, everything else as it is."""
    return str(value) if isinstance(value, pathlib.PurePath) else value


def iterated(annotation: Any) -> Optional[Tuple[Any, bool]]:
    """The item's annotation, and whether the items are pieces of one text; None if it is not an iterator."""
    origin = typing.get_origin(annotation) or annotation
    if origin not in ITERATORS + CONCATENATED if _hashable(origin) else True:
        return None
    arguments = typing.get_args(annotation)
    item = arguments[0] if arguments and not isinstance(arguments[0], typing.TypeVar) else Any
    joined = origin in CONCATENATED
    return (str if joined and item is Any else item), joined


def _generic(annotation: Any, origin: Any, arguments: Tuple[Any, ...], warn: Warn, depth: int) -> Shape:
    # in a TypedDict, where the keys say which are required
    if getattr(origin, "_name", None) in ("Required", "NotRequired", "ReadOnly"):
        return shape_of(arguments[0], warn, depth + 1)
    if hasattr(annotation, "__metadata__"):  # Annotated[T, ...]
        is_opaque = any(mark is cog.Opaque for mark in annotation.__metadata__)
        return _opaque(arguments[0]) if is_opaque else shape_of(arguments[0], warn, depth + 1)
    if origin is typing.Union or type(annotation).__name__ == "UnionType":
        return _union(arguments, warn, depth)
    if origin is getattr(typing, "Literal", None):
        return literal([value.value if isinstance(value, enum.Enum) else value for value in arguments])
    if not isinstance(origin, type):
        warn("type %s is not known here; any JSON value is taken" % _name(annotation))
        return Shape("any")
    if issubclass(origin, tuple):
        length = len(arguments) if arguments and Ellipsis not in arguments and arguments != ((),) else None
        return Shape("array", item=_tuple_item(arguments, warn, depth), python=tuple, length=length)
    if issubclass(origin, collections.abc.Mapping):
        return Shape("object", item=shape_of(arguments[1], warn, depth + 1) if len(arguments) == 2 else None)
    if origin is os.PathLike or issubclass(origin, typing.IO):
        return Shape("path" if origin is os.PathLike else "file")
    if issubclass(origin, (collections.abc.Sequence, collections.abc.Set)) or origin in LISTS:
        item = shape_of(arguments[0], warn, depth + 1) if arguments else None
        return Shape("array", item=item, python=origin if origin in COLLECTED else None)
    return shape_of(origin, warn, depth + 1)  # a model's own generic class


def _opaque(annotation: Any) -> Shape:
    """Objects that are passed through unchanged, single or in a list; Optional as for other inputs."""
    inner = annotation
    origin, arguments = typing.get_origin(inner), typing.get_args(inner)
    parts = [part for part in arguments if part is not type(None)]
    if len(parts) < len(arguments) and len(parts) == 1:
        shape = _opaque(parts[0])
        shape.nullable = True
        return shape
    is_list = isinstance(origin or inner, type) and issubclass(origin or inner, (list, tuple))
    return Shape("array", item=Shape("object")) if is_list else Shape("object")


def _union(arguments: Tuple[Any, ...], warn: Warn, depth: int) -> Shape:
    parts = [shape_of(part, warn, depth + 1) for part in arguments if part is not type(None)]
    nullable = len(parts) < len(arguments)
    shape = parts[0] if len(parts) == 1 else Shape("union", parts=parts)
    if any(part.kind == "any" for part in parts):
        shape = Shape("any")
    shape.nullable = shape.nullable or nullable
    return shape


def _tuple_item(arguments: Tuple[Any, ...], warn: Warn, depth: int) -> Optional[Shape]:
    kinds = [argument for argument in arguments if argument is not Ellipsis]
    if not kinds:
        return None
    if all(kind == kinds[0] for kind in kinds):
        return shape_of(kinds[0], warn, depth + 1)
    return _union(tuple(kinds), warn, depth)


def _class(cls: type, warn: Warn, depth: int) -> Optional[Shape]:
    if issubclass(cls, enum.Enum):
        return literal([member.value for member in cls], cls, cls.__name__)
    if issubclass(cls, pathlib.PurePath) or cls is os.PathLike:
        return Shape("path")
    if issubclass(cls, cog.Secret):
        return Shape("secret")
    if issubclass(cls, (io.IOBase, typing.IO)):
        return Shape("file")
    if issubclass(cls, dict) or cls is collections.abc.Mapping:
        return _typed_dict(cls, warn, depth) if hasattr(cls, "__total__") else Shape("object")
    if issubclass(cls, (list, tuple, set, frozenset)) and cls.__module__ == "builtins":
        return Shape("array", python=cls if cls in COLLECTED else None)
    for base, kind in PLAIN.items():
        if issubclass(cls, base):
            return Shape(kind)
    if cls in LISTS:
        return Shape("array", python=cls if cls in COLLECTED else None)
    fields = fields_of(cls, warn)
    return None if fields is None else _model(cls, fields, warn, depth)


def _typed_dict(cls: Any, warn: Warn, depth: int) -> Shape:
    required = getattr(cls, "__required_keys__", cls.__annotations__ if cls.__total__ else ())
    hints = hints_of(cls, warn)
    members = {name: (shape_of(hint, warn, depth + 1), name in required) for name, hint in hints.items()}
    return Shape("model", members=members, title=cls.__name__, python=dict)


def as_input(shape: Shape) -> Shape:
    """The shape for an input: a TypedDict is just an object there, as in Cog, unless it contains files, whose places
    must be known.
    """
    if shape.kind == "model" and shape.python is dict and not holds_file(shape):
        return Shape("object", nullable=shape.nullable)
    shape.item = shape.item and as_input(shape.item)
    shape.parts = [as_input(part) for part in shape.parts]
    loose = shape.python is dict
    shape.members = {
        name: (as_input(member), required and not (loose and member.nullable))
        for name, (member, required) in shape.members.items()
    }
    return shape


def _model(cls: Any, fields: List[Field], warn: Warn, depth: int) -> Shape:
    root = root_of(cls)
    if root is not None:
        shape = shape_of(fields[0].annotation, warn, depth + 1)
        return Shape(**{**vars(shape), "root": cls, "fields": fields})
    shape = Shape("model", title=cls.__name__, python=cls, fields=fields)
    for field in fields:
        member = shape_of(field.annotation, warn, depth + 1)
        for steps in field.names:
            if steps:
                _put(shape, steps, member, required=field.required and len(field.names) == 1)
    if is_named_tuple(cls):  # in JSON also a list
        listed = Shape("array", parts=[member for member, _ in shape.members.values()], python=cls)
        return Shape("union", parts=[shape, listed], python=cls)
    return shape


def _put(shape: Shape, steps: Any, member: Shape, *, required: bool) -> None:
    """Add a member, which may be nested; the objects around it are added as needed."""
    first, rest = steps[0], steps[1:]
    if not rest:
        shape.members[str(first)] = (member, required)
        return
    around = shape.members.get(str(first), (None, False))[0]
    if isinstance(rest[0], int):
        item = member if len(rest) == 1 else Shape("model")
        if len(rest) > 1:
            _put(item, rest[1:], member, required=False)
        before = around.item if around is not None and around.kind == "array" else None
        if before is not None and before.kind != item.kind:
            item = Shape("any")
        around = Shape("array", item=item)
    else:
        around = around if around is not None and around.kind == "model" else Shape("model", title=str(first))
        _put(around, rest, member, required=False)
    shape.members[str(first)] = (around, False)


def _hashable(thing: Any) -> bool:
    try:
        hash(thing)
    except TypeError:
        return False
    return True


def _name(annotation: Any) -> str:
    return getattr(annotation, "__qualname__", None) or str(annotation)
