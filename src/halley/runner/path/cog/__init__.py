"""Cog's authoring interface, reimplemented for Halley.

A model folder written for Cog runs with this package in place of the real one: the names and their meaning
are those of the version below. It needs nothing but the standard library and works alone, so that a
process that a model spawns, or an author's own test, can import it without a runner around it.
"""

from typing import Any

from .decorators import concurrent, streaming
from .input import FieldInfo, Input
from .model import BaseModel
from .predictor import BasePredictor, BaseRunner
from .retired import retired
from .scope import CancelationException, Scope, current_scope
from .types import AsyncConcatenateIterator, ConcatenateIterator, File, Opaque, Path, Secret, URLFile, URLPath

__version__ = "0.23.1"  # the version whose interface this is; the dist-info beside the package says the same

__all__ = [
    "AsyncConcatenateIterator",
    "BaseModel",
    "BasePredictor",
    "BaseRunner",
    "CancelationException",
    "ConcatenateIterator",
    "FieldInfo",
    "File",
    "Input",
    "Opaque",
    "Path",
    "Scope",
    "Secret",
    "URLFile",
    "URLPath",
    "__version__",
    "concurrent",
    "current_scope",
    "streaming",
]


def __getattr__(name: str) -> Any:
    found = retired(name)
    globals()[name] = found  # Python does not call `__getattr__` again: the notice is printed once
    return found
