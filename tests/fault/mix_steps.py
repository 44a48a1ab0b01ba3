"""Steps that the mixes share: wait for something, stop a process between two commits, read all back."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

from process import Halley

from fault.mix_ledger import Books, Ledger


def wait_until(what: str, is_so: Callable[[], bool], *, seconds: float, log: Callable[[], str]) -> None:
    """Return once it is so; fail with the server's log after `seconds`."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds:g} s it is not so that {what}:\n{log()}")
        time.sleep(0.01)


def stop_between_commits(process: "subprocess.Popen[bytes]", books: Books) -> None:
    """Stopped inside a commit it would keep the database locked: then it goes on, and is stopped again."""
    for _ in range(100):
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        if not books.is_locked():
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.002)
    raise AssertionError("the server was always inside a commit")


def missing_over_http(server: Halley, books: Books, ledger: Ledger) -> list[str]:
    """Acknowledged predictions that cannot be read, or read differently from their row."""
    status_of: dict[str, Any] = dict(books.rows("SELECT id, status FROM predictions"))
    missing = []
    for each in sorted(ledger.acknowledged):
        status, _, body = server.call("GET", f"/v1/predictions/{each}")
        if status != 200 or body["status"] != status_of.get(each):
            missing.append(f"{each}: {status} {body}")
    return missing
