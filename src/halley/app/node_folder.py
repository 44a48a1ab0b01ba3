"""A folder for this process alone, if several processes share the data folder: for run folders and scratch files.

The lock of such a folder ends with its process in any case, so each start removes the folders of dead processes.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from halley.replicas.workspace import delete_folder

_NODES: Final = "nodes"
_LOCK: Final = ".lock"


@contextmanager
def node_folder(data: Path, name: str) -> Iterator[Path]:
    """The folder `data/nodes/NAME` during the block. Only one process at a time may enter."""
    nodes = data / _NODES
    nodes.mkdir(mode=0o700, exist_ok=True)
    for lock in nodes.glob(f"*{_LOCK}"):
        _remove_if_dead(lock)
    folder = nodes / name
    held = os.open(_lock_of(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        folder.mkdir(mode=0o700)
        yield folder
        delete_folder(folder)
    finally:
        os.close(held)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)


def _remove_if_dead(lock: Path) -> None:
    held = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # its process is alive
    else:
        delete_folder(lock.with_suffix(""))
        lock.unlink()
    finally:
        os.close(held)
