"""The process's file descriptors: those of the protocol get high numbers, 1 and 2 become a pipe."""

from __future__ import annotations

import faulthandler
import fcntl
import os
from typing import Optional, Tuple

HIGH = 200
"""The protocol's descriptors start at this number: models that close or reuse small numbers do not hit them."""


def move_high(descriptor: int) -> int:
    """Give a descriptor a high number and close the old one; programs that a model starts do not inherit it."""
    try:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, HIGH)
    except OSError:  # the process may hold fewer descriptors than that
        os.set_inheritable(descriptor, False)
        return descriptor
    os.close(descriptor)
    return moved


def capture_output(pipe: Optional[Tuple[int, int]] = None) -> Tuple[int, int]:
    """Redirect descriptors 1 and 2 into one pipe (the server's, which outlives this process, or a new one), and empty
    0.

    Returns the pipe's reading end, and a writing end that stays open, so that the pipe does not end when a model closes
    its own two. The old standard error stays for messages of a crash, which must not look like output of the model.
    """
    last_words = move_high(os.dup(2))
    faulthandler.enable(last_words, all_threads=False)
    reading, writing = pipe or os.pipe()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.set_blocking(reading, False)
    return move_high(reading), move_high(writing)
