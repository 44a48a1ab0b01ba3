"""Turns a request's `input` into keyword arguments. Everything that does not depend on the request is computed once."""

from __future__ import annotations

import copy
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Optional, Set

import cog
import cog.types
from cog.input import MISSING

from .allowed import Bounds
from .converters import Convert, converter, is_made_by_author
from .foreign_paths import REASON, AllowedPaths, ForeignPath, declared_in, text_at, unstaged, where
from .patterns import Pattern
from .prediction import Prediction
from .predictor import Parameter, Predictor
from .shapes import Shape, holds_file


class BadInput(Exception):
    """The input does not fit. The server validates first; this is raised for what the server cannot check."""


class _Row(NamedTuple):
    """One input of the model."""

    name: str
    convert: Optional[Convert]
    required: bool
    default: Any
    mutable: bool
    """Whether the default must be copied for each prediction (it is mutable)."""
    shape: Shape
    pattern: Optional[Pattern]
    holds_files: bool
    is_made: bool
    """Whether the author's code makes the value, so that it may hold paths that the input did not name."""
    declared: FrozenSet[str]
    is_plain: bool
    """Whether the model gets the JSON value as it is."""


class Inputs:
    """Made once per process."""

    def __init__(self, predictor: Predictor, bounds: Bounds) -> None:
        self.bounds = bounds
        self._rows = [_row(parameter) for parameter in predictor.parameters]
        self._names = frozenset(row.name for row in self._rows)
        self._takes_anything = predictor.takes_anything

    def arguments(self, prediction: Prediction, warn: Callable[[str], None]) -> Dict[str, Any]:
        """Arguments for predict: converted, with defaults. Unknown names are left out and reported by `warn`.

        Raises:
            BadInput: a required input is missing, a value cannot be converted, or it names a file that the caller may
                not use.
        """
        given = prediction.input
        staged: Set[str] = set()
        for pointer in prediction.paths:
            _wrap_path(given, pointer, staged)
        arguments: Dict[str, Any] = {}
        used = 0
        for row in self._rows:
            if row.name in given:
                used += 1
                value = given[row.name]
                arguments[row.name] = value if row.is_plain else self._argument(row, value, prediction, staged)
            elif row.required:
                raise BadInput("input %s is required" % row.name)
            else:
                arguments[row.name] = copy.copy(row.default) if row.mutable else row.default
        if used != len(given):
            unknown = [name for name in given if name not in self._names]
            if self._takes_anything:
                arguments.update((name, given[name]) for name in unknown)
            else:
                warn("ignored input that this model does not have: %s\n" % ", ".join(sorted(unknown)))
        return arguments

    def _argument(self, row: _Row, value: Any, prediction: Prediction, staged: Set[str]) -> Any:
        if row.pattern is not None:
            fault = row.pattern.fault(value)
            if fault is not None:
                raise BadInput("input %s %s" % (row.name, fault))
        if not row.holds_files and not row.is_made:
            return value if row.convert is None else _converted(row.name, row.convert, value)
        known = AllowedPaths(self.bounds, prediction.folder, prediction.began, staged, row.declared)
        way = unstaged(row.shape, value, known.admits)
        if way is not None:
            raise BadInput("input %s: %s %s" % (where(row.name, way), text_at(value, way), REASON))
        if row.convert is None:
            return value
        cog.types.converting.admits = known.admits
        try:
            made = _converted(row.name, row.convert, value)
            if row.is_made:
                known.check(made, value)
        except ForeignPath as fault:
            raise BadInput("input %s: %s" % (row.name, fault)) from None
        except ValueError as error:  # TooMuch
            raise BadInput("input %s: %s" % (row.name, error)) from None
        finally:
            cog.types.converting.admits = None
        return made


def _row(parameter: Parameter) -> _Row:
    shape = parameter.shape
    convert = converter(shape)
    default = None if parameter.info.default is MISSING else parameter.info.default
    declared = declared_in(shape, default)
    if convert is not None and isinstance(default, (str, int, float, list, dict)):
        default = convert(default)
    pattern = Pattern.of(parameter.info.regex)
    holds_files, is_made = holds_file(shape) or bool(declared), is_made_by_author(shape)
    return _Row(
        name=parameter.name,
        convert=convert,
        required=not parameter.has_default,
        default=default,
        mutable=isinstance(default, (list, dict, set)),
        shape=shape,
        pattern=pattern,
        holds_files=holds_files,
        is_made=is_made,
        declared=declared,
        is_plain=pattern is None and convert is None and not holds_files and not is_made,
    )


def _converted(name: str, convert: Convert, value: Any) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, OSError) as error:
        raise BadInput("input %s: %s" % (name, error)) from None


def _wrap_path(given: Dict[str, Any], pointer: List[Any], staged: Set[str]) -> None:
    """Make a path of the text at this place, for any annotation (`Any`, `dict`, ...)."""
    holder: Any = given
    for step in pointer[:-1]:
        holder = _inside(holder, step)
    key = pointer[-1] if isinstance(holder, dict) else int(pointer[-1])
    try:
        if isinstance(holder[key], str):
            staged.add(holder[key])
            holder[key] = cog.Path(holder[key])
    except (KeyError, IndexError):
        return  # an input that the model does not have


def _inside(holder: Any, step: Any) -> Any:
    if isinstance(holder, dict):
        return holder.get(step, {})
    return holder[int(step)]
