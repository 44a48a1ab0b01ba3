"""Modules of Python's own library that are loaded late, whatever lies in the model's folders under their names."""

from __future__ import annotations

import os
import sys
from typing import Any

_LIBRARY = os.path.dirname(os.__file__)


def load_asyncio() -> Any:
    """The module, from Python's own library; 4 MB that a sync model need not pay."""
    if "asyncio" not in sys.modules:
        kept = sys.path[:]
        sys.path[:] = [place for place in kept if _is_of_library(place)]
        try:
            import asyncio  # noqa: F401 - only to have it and all that it needs
            import concurrent.futures.thread  # noqa: F401 - the first `to_thread` would load it
        finally:
            sys.path[:] = kept
    return sys.modules["asyncio"]


def _is_of_library(place: str) -> bool:
    """Whether an entry of the search path holds modules of Python itself. `lib-dynload` may lie elsewhere."""
    return place == _LIBRARY or place.endswith((".zip", os.sep + "lib-dynload"))
