"""The process between the server and the model's process: it ends all processes that the model starts, daemons too.

It adopts processes whose parent has died, so none can escape by becoming a daemon. When the model's process ends, it
kills the rest and ends with the same status; when the server ends in any way, it kills everything.

There is one for each model's process, so it imports little: `typing` and `signal` would take 1.6 MB of each.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` makes enumerations of what is in it
import ctypes
import os
import resource
import select
import sys

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_HANGUP = select.POLLHUP | select.POLLERR


def supervise(parent_pid: int, control: int, others: list[int]) -> None:
    """Fork. Returns in the child, which becomes the model's process; the parent supervises it until its end.

    `parent_pid` is the server's process, 0 if it is not known.

    `control` is a socket that hangs up when the server is gone; `others` are for the child only. Call it before any
    thread starts, and while this process is small.
    """
    if sys.platform != "linux":
        return
    if parent_pid and os.getppid() != parent_pid:  # the server died before we began
        os._exit(0)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    supervisor = os.getpid()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _wake)
    if os.fork() == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(reading)
        os.close(writing)
        prctl(_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != supervisor:  # the parent died before the kernel registered the death signal
            os._exit(0)
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group: the model handles it
    for descriptor in others:
        os.close(descriptor)
    status = _watch(reading, control)
    _sweep()
    _end_like(status)


def _watch(reading: int, control: int) -> int:
    """The status with which the model's process ended; 0 if the server ended first."""
    model = next(iter(_children(os.getpid())), None)
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    poll.register(control, 0)  # hang-up is always reported
    while True:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 0
            if pid == 0:
                break
            if model is None or pid == model:
                return status
        events = dict(poll.poll())
        if events.get(control, 0) & _HANGUP:
            return 0
        if reading in events:
            os.read(reading, 512)


def _sweep() -> None:
    """Kill all remaining processes, until there are none: a process may start another just before it dies."""
    while True:
        for pid in _below(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _below(pid: int) -> list[int]:
    found = list(_children(pid))
    for parent in found:
        found += _children(parent)
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        tasks = os.listdir("/proc/%d/task" % pid)
    except OSError:  # ended meanwhile
        return found
    for task in tasks:
        try:
            with open("/proc/%d/task/%s/children" % (pid, task)) as file:
                words = file.read().split()
        except OSError:
            continue
        found += map(int, words)
    return found


def _end_like(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # only the model's own core dump is wanted
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


def _wake(_number: int, _frame: object) -> None:
    """Do nothing: the signal wakes the poll through its descriptor."""
