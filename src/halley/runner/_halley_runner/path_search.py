"""Finds paths and open files in a value: in containers, in data classes, in objects of the model's own classes.

The members of a library's object are not searched: a logger, a lock or a network would lead to half of the process.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import io
import itertools
import pathlib
import sys
import types
from typing import Any, Dict, Iterator, List, Tuple, Union

from .fields import is_named_tuple, is_pydantic

OBJECTS_LIMIT = 1_000_000
ITEMS_LIMIT = 100_000  # items that are read from an iterator to search it

_PLAIN = (str, int, float, bool, bytes, type(None))
_LISTS = (list, tuple, set, frozenset, collections.deque)
_CLOSED = (
    enum.Enum,
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
)


class TooMuch(ValueError):
    """A value that the model made is larger than the search limit."""


def paths_in(value: Any, *, exhaust: bool = True) -> Iterator[Union[pathlib.PurePath, str]]:
    """Each path, and the name of each open file. An iterator is read, and replaced by one over the same items.

    Raises:
        TooMuch: more than the limit of items.
    """
    seen: Dict[int, Any] = {}  # keeps the objects too, so that no id is reused
    left: List[Tuple[Any, bool]] = [(value, True)]
    while left:
        item, goes_on = left.pop()
        if type(item) in _PLAIN or isinstance(item, _CLOSED) or id(item) in seen:
            continue
        seen[id(item)] = item
        if len(seen) > OBJECTS_LIMIT:
            raise TooMuch("it holds more than %d objects" % OBJECTS_LIMIT)
        if isinstance(item, pathlib.PurePath):
            yield item
        elif isinstance(item, io.IOBase):
            name = getattr(item, "name", None)
            if isinstance(name, str):
                yield name
        elif isinstance(item, _ReplayedIterator):
            left.append((item.items, goes_on))
        elif isinstance(item, (dict, collections.UserDict, types.MappingProxyType)):
            if exhaust and isinstance(item, dict):
                _replace_iterators(item, list(item.items()))
            left.extend((part, goes_on) for pair in list(item.items()) for part in pair if type(part) not in _PLAIN)
        elif isinstance(item, _LISTS):
            if exhaust and isinstance(item, (list, collections.deque)):
                _replace_iterators(item, list(enumerate(item)))
            left.extend((part, goes_on) for part in item if type(part) not in _PLAIN)
        if not goes_on or isinstance(item, (pathlib.PurePath, io.IOBase, _ReplayedIterator)):
            continue
        held = _attributes(item, exhaust=exhaust)
        deeper = _is_data(type(item))
        left.extend((part, deeper) for part in held)


def _replace_iterators(holder: Any, items: List[Tuple[Any, Any]]) -> None:
    """Replace each iterator by one over a list, which can be searched."""
    for key, item in items:
        drawn = _without_iterators(item)
        if drawn is not item:
            holder[key] = drawn


def _without_iterators(item: Any) -> Any:
    """Replace iterators in tuples and sets too; these must be built again."""
    if isinstance(item, (tuple, set, frozenset)):
        parts = [part if type(part) in _PLAIN else _without_iterators(part) for part in item]
        if all(part is before for part, before in zip(parts, item)):
            return item
        cls: Any = type(item)
        return cls._make(parts) if is_named_tuple(cls) else cls(parts)
    if not hasattr(item, "__next__") or isinstance(item, (io.IOBase, _ReplayedIterator)):
        return item
    drawn = list(itertools.islice(item, ITEMS_LIMIT + 1))
    if len(drawn) > ITEMS_LIMIT:
        raise TooMuch("an iterator gives more than %d items" % ITEMS_LIMIT)
    return _ReplayedIterator(drawn)


class _ReplayedIterator:
    """An iterator over the items of another iterator."""

    def __init__(self, items: List[Any]) -> None:
        self.items = items
        self._rest = iter(items)

    def __iter__(self) -> _ReplayedIterator:
        return self

    def __next__(self) -> Any:
        return next(self._rest)


def _attributes(item: Any, *, exhaust: bool) -> List[Any]:
    found: List[Any] = []
    members = getattr(item, "__dict__", None)
    if isinstance(members, dict):
        if exhaust and _is_data(type(item)):
            _replace_iterators(members, list(members.items()))
        found.extend(part for part in members.values() if type(part) not in _PLAIN)
    for cls in type(item).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name not in ("__dict__", "__weakref__"):
                own_name = "_%s%s" % (cls.__name__.lstrip("_"), name) if _is_private(name) else name
                try:
                    part = getattr(item, own_name)
                except AttributeError:
                    continue
                if exhaust and _is_data(type(item)):
                    before, part = part, _without_iterators(part)
                    if part is not before:
                        object.__setattr__(item, own_name, part)  # it may be frozen
                found.append(part)
    return found


def _is_private(name: str) -> bool:
    return name.startswith("__") and not name.endswith("__")


_known: Dict[type, bool] = {}


def _is_data(cls: type) -> bool:
    """Whether members of this class's objects are searched: data classes, and classes that the model defines itself."""
    if cls not in _known:
        _known[cls] = (
            dataclasses.is_dataclass(cls)
            or is_named_tuple(cls)
            or is_pydantic(cls)
            or cls.__module__.split(".")[0] in ("pydantic", "pydantic_core")
            or not _is_of_library(cls)
        )
    return _known[cls]


def _is_of_library(cls: type) -> bool:
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    if not file:
        return module is not None and cls.__module__ != "__main__"
    standard = pathlib.__file__[: -len("pathlib.py")]
    return "site-packages" in file or "dist-packages" in file or file.startswith(standard)
