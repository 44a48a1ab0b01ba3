"""Steps that the mixes share: make models, wait for something, stop a process between commits, read all back."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from process import Halley

from fault.mix_ledger import Books, Ledger

HERE: Final = Path(__file__).parent
MODELS: Final = ("test/nap", "test/doze")
"""The same model twice: a replica of the first dies, then the server while the second works."""


def make_models(home: Path) -> None:
    """Put the models into `home`: the same one twice, told apart by a comment."""
    for model in MODELS:
        shutil.copytree(HERE / "models" / "nap", home / "models" / model.partition("/")[2])
    with (home / "models" / "doze" / "predict.py").open("a") as source:
        source.write("\n# another version\n")


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
