"""Loads modules of Python's own library late, even if the model's folders hold modules of the same names."""

from __future__ import annotations

import os
import sys
from typing import Any

_LIBRARY = os.path.dirname(os.__file__)


def load_asyncio() -> Any:
    """The module from Python's own library; it takes 4 MB, which a sync model does not need."""
    if "asyncio" not in sys.modules:
        kept = sys.path[:]
        sys.path[:] = [place for place in kept if _is_of_library(place)]
        try:
            import asyncio  # noqa: F401 - only to load it and its dependencies
            import concurrent.futures.thread  # noqa: F401 - the first `to_thread` would load it
        finally:
            sys.path[:] = kept
    return sys.modules["asyncio"]


def _is_of_library(place: str) -> bool:
    """Whether an entry of the search path holds Python's own modules. `lib-dynload` may be elsewhere."""
    return place == _LIBRARY or place.endswith((".zip", os.sep + "lib-dynload"))
