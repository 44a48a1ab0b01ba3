"""Modules of Python's library that are loaded when they are first used, although another module imports them.

`asyncio` imports `ssl`, which takes 2 MB of each process; few models open encrypted connections.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from threading import RLock
from types import ModuleType
from typing import Any, List, Set

_lock = RLock()
_loading: Set[str] = set()


class LateModule(ModuleType):
    """A module whose code runs when one of its names is first read, set or listed; then it is an ordinary module."""

    def __getattr__(self, name: str) -> Any:
        _load(self)
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError("module %r has no attribute %r" % (self.__name__, name)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("__"):  # the import system sets names such as __spec__
            _load(self)
        ModuleType.__setattr__(self, name, value)  # it may be of no other class by now

    def __dir__(self) -> List[str]:
        _load(self)
        return sorted(self.__dict__)


def _load(module: ModuleType) -> None:
    with _lock:  # other threads wait until it is whole
        if type(module) is not LateModule or module.__name__ in _loading:
            return
        spec: Any = module.__spec__
        _loading.add(module.__name__)
        try:
            spec.loader.exec_module(module)
            module.__class__ = ModuleType  # type: ignore[assignment]
        finally:
            _loading.discard(module.__name__)


def put_off(name: str, library: str) -> None:
    """Let imports of this module of Python's own library find one that is loaded late, unless it is loaded already."""
    path = os.path.join(library, *name.split(".")) + ".py"
    if name in sys.modules or not os.path.exists(path):  # the library may be in a zip file
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is not None:
        module = LateModule(name)
        for attribute, value in (("__spec__", spec), ("__loader__", spec.loader), ("__file__", path)):
            setattr(module, attribute, value)
        module.__package__ = name.rpartition(".")[0]
        sys.modules[name] = module
