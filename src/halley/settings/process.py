"""Protects secrets in the process's environment: it is read once, then removed from where other processes can read it.

Linux shows the environment that a process was started with in `/proc/PID/environ`, to every process of the same user,
models included. So it is overwritten there. The secrets then exist in memory only, which other processes of the same
user cannot read if the process is not dumpable. None of this protects against root.
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
_FIRST_FIELD: Final = 3  # of /proc/self/stat after the name, which may contain any text
_ENV_START: Final = 50 - _FIRST_FIELD
_OURS: Final = ("HALLEY_", "REPLICATE_")
_SECRET_WORDS: Final = re.compile(
    r"TOKEN|SECRET|PASS(WORD|WD|PHRASE)|(^|_)PASS(_|$)|_PWD(_|$)|_AUTH$|CREDENTIAL|PRIVATE|(^|_)(API)?KEY(_|$)|(^|_)DSN$"
)
_CREDENTIALS_IN_URL: Final = re.compile(r"://[^/\s@]*@")


def process_environ() -> Mapping[str, str]:
    """Return this process's environment; after `take_environ` it may be only a part."""
    return os.environ


def take_environ(handed_over: int | None = None) -> dict[str, str]:
    """Return the whole environment, and remove secrets from where a child or another process could find them.

    `handed_over` is the descriptor from `hand_over` of the program that started this one. From here on other processes
    of the same user can read neither this process's memory nor its start environment.
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
    """Hide this process, with its environment, from others of the same user; `os.environ` stays complete."""
    if sys.platform != "linux":
        return
    _set_dumpable(0)
    for name, value in os.environ.items():
        os.environ[name] = value  # the C library now has its own copy
    _overwrite_start()


def hand_over(environ: Mapping[str, str]) -> tuple[dict[str, str], int | None]:
    """Prepare to replace this process by another program: returns its environment, and a descriptor for the secrets.

    The descriptor is of memory without a name; None if there are no secrets.
    """
    secret = {name: value for name, value in environ.items() if is_secret(name, value)}
    if not secret or sys.platform != "linux":
        return dict(environ), None
    memory = os.memfd_create("halley", 0)
    os.write(memory, msgspec.json.encode(secret))
    os.lseek(memory, 0, os.SEEK_SET)
    return without_secrets(environ), memory


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for programs that need more than a few known variables, without secrets."""
    return {name: value for name, value in environ.items() if not is_secret(name, value)}


def is_secret(name: str, value: str) -> bool:
    """Whether a variable may contain a secret. All of our own settings count: any may contain a password."""
    return (
        name.startswith(_OURS)
        or _SECRET_WORDS.search(name.upper()) is not None
        or _CREDENTIALS_IN_URL.search(value) is not None
    )


def open_to_debuggers() -> None:
    """Make this process readable again for others of the same user; overwritten values stay overwritten."""
    if sys.platform == "linux":
        _set_dumpable(1)


def _set_dumpable(value: int) -> None:
    # With 0 there are no core dumps, and a debugger or profiler needs root. A program started from here is readable
    # again.
    import ctypes

    ctypes.CDLL(None).prctl(_SET_DUMPABLE, value, 0, 0, 0)


def _overwrite_start() -> None:
    """Overwrite the memory in which the kernel put the environment; no pointer may lead there any more."""
    import ctypes

    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    start, end = int(fields[_ENV_START]), int(fields[_ENV_START + 1])
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)
