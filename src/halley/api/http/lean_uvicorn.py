"""Imports uvicorn without what a server of Halley never uses: 20 ms of every start, and 2.5 MB of memory.

uvicorn's package would load its command line, and its settings would load the reader of logging configurations with
all that it needs. The code of both runs only when a name is imported from them that is not one of their modules.
"""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any

_UNUSED = ("uvicorn", "logging.config")
_ELSEWHERE = {"Config": "uvicorn.config", "Server": "uvicorn.server"}  # what uvicorn's modules ask its package for


def prepare() -> None:
    """Make `import uvicorn.server` load little more than that module. What is loaded already stays as it is."""
    for name in _UNUSED:
        spec = None if name in sys.modules else find_spec(name)
        if spec is not None and spec.loader is not None:  # else the following import reports that it is not installed
            _load_when_used(name, spec)


def _load_when_used(name: str, spec: Any) -> None:
    module = module_from_spec(spec)

    def load(member: str) -> Any:
        if name == "uvicorn" and member in _ELSEWHERE:
            return getattr(import_module(_ELSEWHERE[member]), member)
        vars(module).pop("__getattr__", None)
        spec.loader.exec_module(module)
        return getattr(module, member)

    vars(module)["__getattr__"] = load
    sys.modules[name] = module
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, module)
