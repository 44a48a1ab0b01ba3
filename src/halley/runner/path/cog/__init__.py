"""Cog's authoring interface, written anew for Halley.

A model folder written for Cog runs with this package in place of the real one: the names and their meaning
are those of the version below. It needs nothing but the standard library and works alone, so that a
process that a model spawns, or an author's own test, can import it without a runner around it.
"""

from .decorators import ExperimentalFeatureWarning, concurrent, streaming
from .input import FieldInfo, Input
from .model import BaseModel
from .predictor import BasePredictor, BaseRunner
from .scope import CancelationException, Scope, current_scope, emit_metric
from .types import AsyncConcatenateIterator, ConcatenateIterator, File, Path, Secret

__version__ = "0.23.1"  # the version whose interface this is; the dist-info beside the package says the same

__all__ = [
    "AsyncConcatenateIterator",
    "BaseModel",
    "BasePredictor",
    "BaseRunner",
    "CancelationException",
    "ConcatenateIterator",
    "ExperimentalFeatureWarning",
    "FieldInfo",
    "File",
    "Input",
    "Path",
    "Scope",
    "Secret",
    "__version__",
    "concurrent",
    "current_scope",
    "emit_metric",
    "streaming",
]
