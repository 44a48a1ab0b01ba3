"""Model processes, seen from outside the server that started them."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

GONE_SECONDS: Final = 30.0
"""How long a model process may outlive its server here: a fraction of a second, and what a busy machine adds."""


def runners_of(server: int) -> list[psutil.Process]:
    """Model processes of the server with this pid; its own children only, so nobody else's."""
    return [each for each in psutil.Process(server).children() if _is_runner(each)]


def runners_in(home: Path) -> list[psutil.Process]:
    """Model processes of models in this folder, whoever is their parent now."""
    return [each for each in psutil.process_iter() if _is_runner(each, str(home))]


def left_of(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still live after GONE_SECONDS. A dead one whose new parent has not fetched it yet is dead."""
    left = list(processes)
    end = time.monotonic() + GONE_SECONDS
    while (left := [each for each in left if _lives(each)]) and time.monotonic() < end:
        time.sleep(0.01)
    return left


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _is_runner(process: psutil.Process, home: str = "") -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:  # gone meanwhile
        return False
    is_runner = any(word.endswith("halley/runner/start.py") for word in words) and "serve" in words
    return is_runner and home in " ".join(words)
