"""Refuses text from a caller that would become a path: by the shapes before the conversion, by its result after it.

Only staged files reach a model as paths. All other text from a caller must stay text.
"""

from __future__ import annotations

import io
import os
import pathlib
from typing import Any, Callable, Dict, FrozenSet, List, Optional, Set

from .allowed import Bounds, texts_of
from .fields import ABSENT
from .path_search import paths_in
from .shapes import Shape

REASON = (
    "is no file that was sent with the input: pass an http(s) URL, a data: URL or an uploaded file's URL, "
    "not a path on the server"
)
SHOWN_CHARS = 200
TEXTS_LIMIT = 100_000


class ForeignPath(Exception):
    """Text from a caller would have become a path; the message says at which place."""


def declared_in(shape: Shape, default: Any) -> FrozenSet[str]:
    """The paths that the model itself gives as defaults and choices."""
    found: Set[str] = set()
    _collect(default, found, texts=_is_for_files(shape))
    _declare(shape, found)
    return frozenset(found)


def unstaged(shape: Shape, value: Any, admits: Callable[[str], bool]) -> Optional[List[Any]]:
    """The place of the first text where the shape wants a file; None if there is none. Staged files are paths
    already.
    """
    kind = shape.kind
    if isinstance(value, str):
        return [] if _is_for_file(shape) and not admits(value) else None
    if kind == "union":
        return _in_union(shape, value, admits)
    if kind == "array" and isinstance(value, list):
        for index, item in enumerate(value):
            part = shape.parts[index] if index < len(shape.parts) else shape.item
            way = None if part is None else unstaged(part, item, admits)
            if way is not None:
                return [index, *way]
    if kind == "object" and isinstance(value, dict) and shape.item is not None:
        for name, item in value.items():
            way = unstaged(shape.item, item, admits)
            if way is not None:
                return [name, *way]
    if kind == "model" and isinstance(value, dict):
        for name, (member, _) in shape.members.items():
            way = unstaged(member, value[name], admits) if name in value else None
            if way is not None:
                return [name, *way]
    return None


class AllowedPaths:
    """The paths that are allowed in one input of one prediction."""

    def __init__(self, bounds: Bounds, folder: str, began: int, staged: Set[str], declared: FrozenSet[str]) -> None:
        self._bounds = bounds
        self._folder = os.path.realpath(folder) + os.sep if folder else ""
        self._began = began
        self._staged = {os.path.realpath(path) for path in staged}
        self._declared = declared
        self._given: Any = None
        self._texts: Optional[Set[str]] = None

    def admits(self, text: str) -> bool:
        """Whether this text may become a path: it is a default or choice, or in a folder that the operator opened to
        inputs.
        """
        try:
            return text in self._declared or self._bounds.opens_to_inputs(text)
        except ValueError:  # a NUL character
            return False

    def check(self, value: Any, given: Any) -> None:
        """Check the paths in an argument that was made from this JSON value.

        Raises:
            ForeignPath: an argument holds a path that the caller named.
        """
        self._given, self._texts = given, None
        for path in paths_in(value):
            text = str(path)
            try:
                fits = self._fits(text)
            except ValueError:
                fits = False
            if not fits:
                raise ForeignPath("%s %s" % (_short(text), REASON))

    def _fits(self, text: str) -> bool:
        absolute = os.path.abspath(text)
        real = os.path.realpath(absolute)
        if text in self._declared or real in self._staged or (self._folder and real.startswith(self._folder)):
            return True
        if self._bounds.opens_to_inputs(absolute):
            return True
        if self._is_verbatim(text, absolute):
            return False
        # made by the model's own code: one of its own files, or a file that it writes
        return (
            self._bounds.is_own(absolute)
            or not os.path.lexists(absolute)
            or self._bounds.was_made_since(absolute, self._began)
        )

    def _is_verbatim(self, text: str, absolute: str) -> bool:
        if self._texts is None:
            given = [word.strip(" \t\r\n\"'") for word in texts_of(self._given)[:TEXTS_LIMIT]]
            self._texts = set(given)
            for word in given:
                self._texts.add(os.path.abspath(os.path.expanduser(word)))
                self._texts.add(os.path.normpath(word))
        return text in self._texts or absolute in self._texts


def where(name: str, way: List[Any]) -> str:
    """The place in the input, such as `job.images.0`; the server names members in the same way."""
    return ".".join([name, *map(str, way)])


def text_at(value: Any, way: List[Any]) -> str:
    """The text at this place, shortened for a message."""
    for step in way:
        value = value[step]
    return _short(str(value))


def _short(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "...")


def _is_for_files(shape: Shape) -> bool:
    below = [*shape.parts, *(member for member, _ in shape.members.values())]
    if shape.item is not None:
        below.append(shape.item)
    return _is_for_file(shape) or shape.kind in ("path", "file") or any(_is_for_files(part) for part in below)


def _is_for_file(shape: Shape) -> bool:
    """Whether text here could only mean a path. In `Union[Path, str]` it is text."""
    if shape.kind == "union":
        return any(_is_for_file(part) for part in shape.parts) and not any(_takes_text(part) for part in shape.parts)
    return shape.kind in ("path", "file") or (shape.kind == "choice" and _is_path(shape.python))


def _takes_text(shape: Shape) -> bool:
    if shape.kind == "choice":
        return not _is_path(shape.python)
    return shape.kind in ("string", "any", "secret")


def _is_path(python: Any) -> bool:
    return isinstance(python, type) and issubclass(python, pathlib.PurePath)


def _in_union(shape: Shape, value: Any, admits: Callable[[str], bool]) -> Optional[List[Any]]:
    """The value is accepted if any member of the union accepts it unchanged."""
    first: Optional[List[Any]] = None
    for part in shape.parts:
        if _fits_kind(part, value):
            way = unstaged(part, value, admits)
            if way is None:
                return None
            first = first or way
    return first


def _fits_kind(shape: Shape, value: Any) -> bool:
    if shape.kind in ("any", "union"):
        return True
    return shape.kind in (("array",) if isinstance(value, list) else ("object", "model"))


def _declare(shape: Shape, found: Set[str]) -> None:
    if shape.kind == "choice" and _is_path(shape.python):
        found.update(option for option in shape.options if isinstance(option, str))
    for part in (*shape.parts, *(member for member, _ in shape.members.values())):
        _declare(part, found)
    if shape.item is not None:
        _declare(shape.item, found)
    members: Dict[Any, Shape] = {name: member for name, (member, _) in shape.members.items()}
    for field in shape.fields:
        holds = any(_is_for_files(members[way[0]]) for way in field.names if way and way[0] in members)
        if field.default is not ABSENT:
            _collect(field.default, found, texts=holds)
        elif field.factory is not None and holds:
            _collect(_made(field.factory), found, texts=True)


def _made(factory: Callable[[], Any]) -> Any:
    try:
        return factory()
    except Exception:  # it needs an object that does not exist yet; it is checked later
        return None


def _collect(value: Any, found: Set[str], *, texts: bool) -> None:
    if isinstance(value, str):
        if texts:
            found.update((value, str(pathlib.PurePath(value))))
        return
    if isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            _collect(item, found, texts=texts)
        return
    if isinstance(value, dict):
        for item in value.values():
            _collect(item, found, texts=texts)
        return
    if isinstance(value, (pathlib.PurePath, io.IOBase)) or hasattr(value, "__dict__"):
        found.update(str(path) for path in paths_in(value, exhaust=False))
