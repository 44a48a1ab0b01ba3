"""Modules of Python's own library that are loaded late, whatever lies in the model's folder under their names."""

from __future__ import annotations

import os
import sys
from typing import Any


def load_asyncio(folder: str) -> Any:
    """The module; 4 MB that a sync model need not pay. `folder` is the model's, in front of the search path by now."""
    if "asyncio" not in sys.modules:
        kept = sys.path[:]
        named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        theirs = [folder, *(os.path.abspath(place) for place in named if place)]
        sys.path[:] = [
            place for place in kept if place not in theirs or place.startswith((sys.prefix, sys.base_prefix))
        ]
        try:
            import asyncio  # noqa: F401 - only to have it and all that it needs
            import concurrent.futures.thread  # noqa: F401 - the first `to_thread` would load it
        finally:
            sys.path[:] = kept
    return sys.modules["asyncio"]
