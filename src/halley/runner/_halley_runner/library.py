"""Loads modules of Python's own library late, even if the model's folders hold modules of the same names."""

from __future__ import annotations

import os
import sys
from typing import Any

from .late_modules import put_off

_LIBRARY = os.path.dirname(os.__file__)


def load_asyncio() -> Any:
    """The module from Python's own library; it takes 2 MB, which a sync model does not need."""
    if "asyncio" not in sys.modules:
        kept = sys.path[:]
        sys.path[:] = [place for place in kept if _is_of_library(place)]
        put_off("ssl", _LIBRARY)
        put_off("asyncio.sslproto", _LIBRARY)
        try:
            import asyncio
            import concurrent.futures.thread  # noqa: F401 - the first `to_thread` would load it
        finally:
            sys.path[:] = kept
        asyncio.sslproto = sys.modules["asyncio.sslproto"]  # type: ignore[attr-defined]  # as its import would do
    return sys.modules["asyncio"]


def _is_of_library(place: str) -> bool:
    """Whether an entry of the search path holds Python's own modules. `lib-dynload` may be elsewhere."""
    return place == _LIBRARY or place.endswith((".zip", os.sep + "lib-dynload"))
