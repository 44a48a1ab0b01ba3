"""Reads plain arguments without pydantic, which typer would load for every command: that takes twice as long as all the
rest of a command's start.

What is not plain, and every argument with a fault, goes to typer's own reader, which also words the fault.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import typer.core

_WHOLE_NUMBER_DIGITS: Final = 15
_NOT_PLAIN: Final = object()


def read_plainly() -> None:
    """Let typer read plain arguments so. Does nothing to a version of typer that reads them in another way."""
    build: Callable[[Any], Any] | None = getattr(typer.core, "build_runtime_param", None)
    if build is not None and not isinstance(build, _Readers):
        setattr(typer.core, "build_runtime_param", _Readers(build))  # noqa: B010 - mypy: typer does not export it


class _Readers:
    """Makes the reader of a parameter; in the place of `typer.core.build_runtime_param`."""

    def __init__(self, build: Callable[[Any], Any]) -> None:
        self._build = build

    def __call__(self, descriptor: Any) -> _Reader:
        return _Reader(descriptor, self._build)


class _Reader:
    """Reads the values of one parameter, with typer's own reader if need be."""

    def __init__(self, descriptor: Any, build: Callable[[Any], Any]) -> None:
        self._descriptor = descriptor
        self._build = build

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """As typer's `RuntimeParam.coerce`."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        found = plain(self._descriptor.annotation, self._descriptor.parameter_info, value)
        return self._build(self._descriptor).coerce(value, param=param, ctx=ctx) if found is _NOT_PLAIN else found


def plain(annotation: Any, info: Any, value: Any) -> Any:
    """The value that typer would make of this one; `_NOT_PLAIN` if typer must be asked."""
    if info.parser is not None:
        return _NOT_PLAIN
    if get_origin(annotation) is list:
        if not isinstance(value, (list, tuple)):
            return _NOT_PLAIN
        (kind,) = get_args(annotation)
        items = [plain(kind, info, item) for item in value]
        return _NOT_PLAIN if any(item is _NOT_PLAIN for item in items) else items
    if annotation is bool and type(value) is bool:
        return value
    if annotation is int and info.min is None and info.max is None:
        return _whole_number(value)
    if not isinstance(value, str) or not _is_text(value):
        return _NOT_PLAIN
    if annotation is str:
        return value
    if annotation is Path and _takes_any_path(info) and not _is_unreadable(value):
        return Path(value)
    return _NOT_PLAIN


def _whole_number(value: Any) -> Any:
    if type(value) is int:
        return value
    is_plain = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _WHOLE_NUMBER_DIGITS
    return int(value) if is_plain else _NOT_PLAIN


def _is_text(value: str) -> bool:
    """Whether no byte of the argument was unreadable: pydantic refuses such text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _takes_any_path(info: Any) -> bool:
    limits = (info.exists, info.writable, info.resolve_path, info.allow_dash, info.path_type)
    return not any(limits) and info.file_okay and info.dir_okay


def _is_unreadable(path: str) -> bool:
    return os.access(path, os.F_OK) and not os.access(path, os.R_OK)
