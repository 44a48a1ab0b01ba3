"""One program of a build: its output into a log, its end within a time, and no life after ours."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

# The kernel ends the program with the thread that started it; execve keeps that wish.
_LEASHED: Final = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"
    "if os.getppid() != int(sys.argv[1]): os._exit(1)\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)


async def run_logged(
    command: Sequence[str], *, log: IO[bytes], folder: Path, environ: Mapping[str, str], keep_open: int
) -> int:
    """Run to the end and give the exit status (negative: the signal). Cancelled, it ends the program's whole group.

    `keep_open` is a descriptor that the program inherits: a lock stays held as long as any part of the program lives.
    Call it in the main thread.

    Raises:
        OSError: it cannot be started.
    """
    loop = asyncio.get_running_loop()
    process = subprocess.Popen(  # noqa: ASYNC220 - starting it takes as long either way; pidfds need no watcher
        [sys.executable, "-I", "-S", "-c", _LEASHED, str(os.getpid()), *command],
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
        _kill_group(process.pid)  # before it is reaped: until then nobody else can get its number
        process.wait()
    return process.returncode


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
