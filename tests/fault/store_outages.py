"""Three ways in which a store takes nothing, around a real server: locked, refusing every write, on a full disk.

The second needs nothing of the machine, so it runs everywhere; the third is a disk that is really full.
"""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from e2e.process import Halley
from needs import require

HERE: Final = Path(__file__).parent
PATIENCE_SECONDS: Final = 60.0
DISK: Final = "24m"
CONFIG: Final = f"""
[server]
access_log = false
[runs]
lease_seconds = 3
heartbeat_seconds = 1
[models."test/nap"]
path = "{HERE}/models/nap"
preload = true
[models."test/letter"]
path = "{HERE}/models/letter"
preload = true
retention = "30s"
"""

_EMPTY_LOG: Final = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
"""


class StoreOutage:
    """A server that runs during the block, and a store that can refuse writes."""

    server: Halley

    def begin(self) -> None:
        """From now on nothing is written."""
        raise NotImplementedError

    def clear(self) -> None:
        """Everything is written again. Harmless if it is already."""
        raise NotImplementedError

    def end(self) -> None:
        """Leave nothing behind."""

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.clear()
            self.server.stop()
        finally:
            self.end()


class Locked(StoreOutage):
    """Another process holds the database."""

    def __init__(self, home: Path) -> None:
        self.server = Halley(home, "--no-demo", config=CONFIG)
        self._database = home / "data" / "halley.db"
        self._other: sqlite3.Connection | None = None

    def begin(self) -> None:
        self._other = sqlite3.connect(self._database, isolation_level=None, timeout=10)
        self._other.execute("BEGIN IMMEDIATE")

    def clear(self) -> None:
        if self._other is not None:
            self._other.execute("ROLLBACK")
            self._other.close()
            self._other = None


class Refusing(StoreOutage):
    """The test build refuses every commit, as SQLite does on a full disk."""

    def __init__(self, home: Path) -> None:
        controls = home / "controls"
        controls.mkdir()
        self._sign = controls / "refuse"
        self.server = Halley(
            home,
            "--no-demo",
            config=CONFIG,
            command=(sys.executable, str(HERE / "build.py")),
            environment={"FAULT_FOLDER": str(controls)},
        )

    def begin(self) -> None:
        self._sign.touch()

    def clear(self) -> None:
        self._sign.unlink(missing_ok=True)


class FullDisk(StoreOutage):
    """The data folder is a small disk, and somebody else's file takes what is left of it.

    It is a file system of our own in a namespace of our own, which a process that does nothing keeps while the server
    is dead. No right of an administrator is needed, and all of it goes with that process.
    """

    def __init__(self, home: Path) -> None:
        data = home / "data"
        data.mkdir()
        mount = f'mount -t tmpfs -o size={DISK} none "$0" && echo mounted && exec sleep 600'
        self._keeper = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", mount, str(data)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        assert self._keeper.stdout is not None
        with self._keeper.stdout as told:
            is_mounted = told.readline() == b"mounted\n"
        if not is_mounted:
            self._keeper.wait()
        require(is_mounted, "this machine lets nobody mount a file system in a namespace of his own")
        self._data = data
        self._enter = ("nsenter", "-t", str(self._keeper.pid), "-U", "-m", "--preserve-credentials")
        self.server = Halley(
            home, "--no-demo", config=CONFIG, command=(*self._enter, sys.executable, "-m", "halley.cli.main")
        )
        self._ballast = Path(f"/proc/{self._keeper.pid}/root") / (data / "ballast").relative_to("/")

    def begin(self) -> None:
        """Fill it while SQLite's log has no place left that it could write again after a restart."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not self._is_full_to_the_last_page():
            assert time.monotonic() < end, "the server writes each time before the disk is full"
            self.clear()

    def _is_full_to_the_last_page(self) -> bool:
        subprocess.run([*self._enter, sys.executable, "-c", _EMPTY_LOG, str(self._data / "halley.db")], check=True)
        with self._ballast.open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))
        folder = self._ballast.parent
        return os.statvfs(folder).f_bavail == 0 and (folder / "halley.db-wal").stat().st_size == 0

    def clear(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def end(self) -> None:
        self._keeper.kill()
        self._keeper.wait()


def create(server: Halley, model: str = "test/nap", **given: Any) -> tuple[int, dict[str, str], Any]:
    return server.call("POST", f"/v1/models/{model}/predictions", {"input": given})


def made(server: Halley, model: str = "test/nap", **given: Any) -> str:
    """The id of a prediction that must be taken."""
    status, _, body = create(server, model, **given)
    assert status == 201, body
    return str(body["id"])


def get(server: Halley, prediction_id: str) -> Any:
    status, _, body = server.call("GET", f"/v1/predictions/{prediction_id}")
    assert status == 200, body
    return body


def ended(server: Halley, prediction_id: str) -> Any:
    """The prediction once it is over."""
    until(server, lambda: get(server, prediction_id)["status"] not in {"starting", "processing"}, "it is over")
    return get(server, prediction_id)


def until(server: Halley, is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, f"it is never so that {what}:\n{server.log()}"
        time.sleep(0.1)
