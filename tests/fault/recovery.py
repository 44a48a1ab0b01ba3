"""A prediction whose server is killed, and clients who keep the next server busy with another model from the start."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from process import Halley

WITHIN_SECONDS = 5.0
BUSY_CLIENTS = 6
ENOUGH = 10  # answers to them after it began, so that they were there

_LOST = """
import time

def run(seconds: float = 3600.0) -> str:
    print("begun", flush=True)
    time.sleep(seconds)
    return "done"
"""
_BUSY = """
def run(number: int = 0) -> int:
    return number
"""


class Recovery:
    """Rounds on one data folder: run, kill, start again under traffic, and see when the lost run begins anew."""

    def __init__(self, home: Path) -> None:
        for name, text in (("lost", _LOST), ("busy", _BUSY)):
            (home / f"{name}.py").write_text(text)
        models = "".join(f'[models."local/{name}"]\npath = "{home}/{name}.py"\n' for name in ("lost", "busy"))

        self.server = Halley(home, "--no-demo", config=models)
        self.answered = 0

    def round(self) -> float:
        """Seconds from the new server's first answer until the lost prediction begins again."""
        with self.server as server:
            made = server.call("POST", "/v1/models/local/lost/predictions", {"input": {}})[2]
            self._until(made["id"], begun=1, seconds=90)
            server.kill()
            server.start()
            ready = time.monotonic()
            with self._busy():
                self._until(made["id"], begun=2, seconds=60)
                took = time.monotonic() - ready
                self._until_answered(self.answered + ENOUGH)
            server.call("POST", f"/v1/predictions/{made['id']}/cancel")
        return took

    def _until(self, prediction_id: str, *, begun: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        row = None
        while time.monotonic() < end:
            row = self.server.call("GET", f"/v1/predictions/{prediction_id}")[2]
            if row["logs"].count("begun\n") >= begun:
                return
            time.sleep(0.05)
        raise AssertionError(f"it did not begin {begun} times within {seconds:g} s: {row}")

    def _until_answered(self, count: int) -> None:
        """The clients ask all the time: on a slow machine the lost one may begin before they have many answers."""
        end = time.monotonic() + 120
        while self.answered < count:
            assert time.monotonic() < end, "the clients were not busy: nothing was tried"
            time.sleep(0.05)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                wait = {"Prefer": "wait"}
                status, _, row = self.server.call(
                    "POST", "/v1/models/local/busy/predictions", {"input": {"number": 1}}, headers=wait
                )
                assert (status, row["status"]) == (201, "succeeded"), row
                self.answered += 1

        clients = [threading.Thread(target=ask, daemon=True) for _ in range(BUSY_CLIENTS)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            over.set()
            for client in clients:
                client.join(30)
