"""Runs one program of a build: writes its output to a log, limits its time, and ends it with the server."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

# Runs beside the program: when the thread that started it ends in any way, the kernel signals it, and it kills the
# whole group. A parent-death signal to the program alone would leave the program's own children running.
_LEASH: Final = """
import ctypes, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ, setsigdef=[signal.SIGTERM])
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
os._exit(status if status >= 0 else 128 - status)
"""


async def run_logged(
    command: Sequence[str], *, log: IO[bytes], folder: Path, environ: Mapping[str, str], keep_open: int
) -> int:
    """Run to the end and return the exit status; for a signal 128 + its number. If cancelled, it kills the whole group.

    `keep_open` is a descriptor that the program inherits: a lock is held as long as any part of the program runs. Call
    it in the main thread.

    Raises:
        OSError: it cannot be started.
    """
    loop = asyncio.get_running_loop()
    process = subprocess.Popen(  # noqa: ASYNC220 - starting it takes as long either way; pidfds need no watcher
        [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *command],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(keep_open,),
        start_new_session=True,
    )
    ended = asyncio.Event()
    pidfd = os.pidfd_open(process.pid)
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        _kill_group(process.pid)  # before it is reaped: until then no other process can get its number
        process.wait()
    return process.returncode


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
