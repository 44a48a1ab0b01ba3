"""The process as the home of secrets: its environment is read once, and nothing of it stays where others can read it.

Linux shows the environment that a process was started with in `/proc/PID/environ`, to every process of the same user:
to models, too. So it is overwritten there. What secrets there are then lives in memory, which is closed to other
processes of the same user once the process is not dumpable. Nothing of this stops root.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

_SET_DUMPABLE: Final = 4  # PR_SET_DUMPABLE of linux/prctl.h
_FIRST_FIELD: Final = 3  # of /proc/self/stat behind the name, which may hold anything
_ENV_START: Final = 50 - _FIRST_FIELD
_OURS: Final = ("HALLEY_", "REPLICATE_")
_SECRET_WORDS: Final = re.compile(
    r"TOKEN|SECRET|PASS(WORD|WD|PHRASE)|(^|_)PASS(_|$)|_PWD(_|$)|_AUTH$|CREDENTIAL|PRIVATE|(^|_)(API)?KEY(_|$)|(^|_)DSN$"
)
_CREDENTIALS_IN_URL: Final = re.compile(r"://[^/\s@]*@")


def process_environ() -> Mapping[str, str]:
    """Give this process's environment, of which `take_environ` may have left only a part."""
    return os.environ


def take_environ(handed_over: int | None = None) -> dict[str, str]:
    """Give the whole environment, and leave nothing secret of it where a child or another process finds it.

    `handed_over` is what `hand_over` gave to the program that started this one. From here on the process is closed to
    others of the same user: they can neither read its memory nor what it was started with.
    """
    hide_environ()
    held = dict(os.environ)
    for name, value in held.items():
        if is_secret(name, value):
            del os.environ[name]
    if handed_over is not None:
        with open(handed_over, "rb") as file:  # noqa: PTH123 - a descriptor
            held |= msgspec.json.decode(file.read(), type=dict[str, str])
    return held


def hide_environ() -> None:
    """Close this process to others of the same user, its environment included; it goes on having it."""
    if sys.platform != "linux":
        return
    _set_dumpable(0)
    for name, value in os.environ.items():
        os.environ[name] = value  # the C library now has it in a place of its own
    _overwrite_start()


def hand_over(environ: Mapping[str, str]) -> tuple[dict[str, str], int | None]:
    """Prepare the start of another program in this one's place: its environment, and where it finds the secrets.

    The second is a descriptor of memory without a name, None where there is nothing to hide.
    """
    secret = {name: value for name, value in environ.items() if is_secret(name, value)}
    if not secret or sys.platform != "linux":
        return dict(environ), None
    memory = os.memfd_create("halley", 0)
    os.write(memory, msgspec.json.encode(secret))
    os.lseek(memory, 0, os.SEEK_SET)
    return without_secrets(environ), memory


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Give what programs that we start may see, where they need more than a few known names."""
    return {name: value for name, value in environ.items() if not is_secret(name, value)}


def is_secret(name: str, value: str) -> bool:
    """Whether a variable may hold what no model should read. All of our own settings count: any may name a password."""
    return (
        name.startswith(_OURS)
        or _SECRET_WORDS.search(name.upper()) is not None
        or _CREDENTIALS_IN_URL.search(value) is not None
    )


def open_to_debuggers() -> None:
    """Open this process to others of the same user again; what was overwritten stays so."""
    if sys.platform == "linux":
        _set_dumpable(1)


def _set_dumpable(value: int) -> None:
    # What 0 costs: no core dumps, and a debugger or profiler needs root. A program started from here is open again.
    import ctypes

    ctypes.CDLL(None).prctl(_SET_DUMPABLE, value, 0, 0, 0)


def _overwrite_start() -> None:
    """Overwrite the area in which the kernel put the environment; nothing may point into it any more."""
    import ctypes

    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    start, end = int(fields[_ENV_START]), int(fields[_ENV_START + 1])
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)
