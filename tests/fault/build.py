"""The test build of the server: the real command with failpoints, a disk that can be full, and planted bugs.

python build.py serve ARGUMENTS...   with FAULT_FOLDER=folder and FAULT_PLANTED=name,name in the environment

With FAULT_ROLES=worker,maintainer,api (or some of them) the process has these roles only, and shares its data folder
with other processes that were started so. It makes the file `session` when its worker has a session.

The folder is how a test talks to it, by files that it makes and removes:

    strike   "before_commit 0.5": the process kills itself there, with that chance, once a create is in the commit.
             It adds a byte to `direct` if one of these creates came without the parser
    stall    commits that carry a create wait while it is there; `stalled` is there while one waits
    full     the database may not grow beyond its present size, and the blobs take nothing
    refuse   nothing at all is written, not even in place: as on a disk without room for one more page of the log
    room     so many bytes may still be written to blobs and drafts, see `room`

The planted bugs of the store exist in its constructor only, and only this build can pass them. Those of webhooks and
of the worker are made here. A write of a maintainer that has lost its duty, and was not refused, is noted in `late`.
"""

import asyncio
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from limited_disk import limit_room
from shared_build import node_of, plant_in_worker, tell_session, watch_duties

from halley import app
from halley.app import foundation
from halley.blobs.files import FileBlobs
from halley.cli import serving
from halley.cli.main import main
from halley.errors import StorageFull
from halley.predictions.ports import Created, NewPrediction
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.webhooks.updates import Updates

STRIKE: Final = "strike"
DIRECT: Final = "direct"
STALL: Final = "stall"
STALLED: Final = "stalled"
FULL: Final = "full"
REFUSE: Final = "refuse"
FULL_NOW: Final = "full-now"
"""The server makes it once the database may not grow, and removes it when it may again."""

LINGER_SECONDS: Final = 0.05  # an answer that leaves before its commit gets the time to leave
LOOK_SECONDS: Final = 0.02
MANY_PAGES: Final = 2**31 - 2


class Strikes:
    """The failpoints of the writer. A strike waits for a commit that carries a create: the one that counts."""

    def __init__(self, folder: Path) -> None:
        self._order = folder / STRIKE
        self._stall = folder / STALL
        self._refuse = folder / REFUSE
        self._stalled = folder / STALLED
        self._direct = folder / DIRECT
        self._chance = random.Random(os.getpid())
        self._submitted = False
        self._submitted_directly = False
        self._carries_create = False
        self._carries_direct = False

    def note_create(self, *, is_direct: bool) -> None:
        """A create was handed to the writer; directly: without the parser."""
        self._submitted = True
        self._submitted_directly |= is_direct

    def __call__(self, point: str) -> None:
        """Kill this process here if that was ordered.

        Raises:
            sqlite3.OperationalError: nothing is written now.
        """
        if point == "before_commit" and self._refuse.exists():
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        if point == "before_commit":
            self._carries_create, self._submitted = self._submitted, False
            self._carries_direct, self._submitted_directly = self._submitted_directly, False
        if not self._carries_create:
            return
        if point == "before_commit":
            self._wait_while_stalled()
        try:
            where, chance = self._order.read_text().split()
        except (FileNotFoundError, ValueError):  # no order, or half an order
            return
        if where != point or self._chance.random() >= float(chance):
            return
        if point == "before_commit":
            time.sleep(LINGER_SECONDS)
        if self._carries_direct:
            with self._direct.open("ab") as file:
                file.write(b"1")
        os.kill(os.getpid(), signal.SIGKILL)

    def _wait_while_stalled(self) -> None:
        if not self._stall.exists():
            return
        self._stalled.touch()
        while self._stall.exists():
            time.sleep(LOOK_SECONDS)
        self._stalled.unlink()


class Disk:
    """Full while there is a file that says so."""

    def __init__(self, folder: Path) -> None:
        self._wish = folder / FULL
        self._refuse = folder / REFUSE
        self._state = folder / FULL_NOW

    @property
    def is_full(self) -> bool:
        return self._wish.exists() or self._refuse.exists()

    async def follow(self, store: SqliteStore) -> None:
        """Let the database be as the file says. Runs until cancelled."""
        self._state.unlink(missing_ok=True)
        while True:
            wanted = self._wish.exists()
            if wanted != self._state.exists():
                # 1 means the present size: SQLite never makes a file smaller by this
                await store._writer.submit(_limit_pages, 1 if wanted else MANY_PAGES)
                if wanted:
                    self._state.touch()
                else:
                    self._state.unlink()
            await asyncio.sleep(LOOK_SECONDS)


def _limit_pages(connection: Any, pages: int) -> None:
    connection.execute(f"PRAGMA max_page_count={pages:d}").fetchone()


def full_blobs(disk: Disk) -> type[FileBlobs]:
    """The blobs of this machine, on that disk."""

    class FullBlobs(FileBlobs):
        async def put(self, *args: Any, **kwargs: Any) -> Any:
            _refuse(disk)
            return await super().put(*args, **kwargs)

        async def adopt(self, *args: Any, **kwargs: Any) -> Any:
            _refuse(disk)
            return await super().adopt(*args, **kwargs)

    return FullBlobs


def _refuse(disk: Disk) -> None:
    if disk.is_full:
        raise StorageFull("The disk of this test is full.")


def plant_in_webhooks(store: SqliteStore, planted: frozenset[str]) -> None:
    """Bugs of webhooks.

    The position moves before the message is stored; the end overtakes what is under way; a passing state does not wait
    for the one before.
    """
    record = store.deliveries.record

    async def position_first(messages: Any, position: int, ended: Any = ()) -> None:
        await record((), position, ended)
        await asyncio.sleep(LINGER_SECONDS)
        await record(messages, position)

    if "webhook_position_first" in planted:
        store.deliveries.record = position_first  # type: ignore[method-assign]
    if "webhook_overtakes" in planted:
        Updates.is_busy = lambda *_: False  # type: ignore[method-assign]
    if "webhook_in_parallel" in planted:
        send = Updates._send
        tasks = []

        async def send_aside(*args: Any) -> None:
            tasks.append(asyncio.create_task(send(*args)))

        Updates._send = send_aside  # type: ignore[method-assign]


def watch_creates(store: SqliteStore, strikes: Strikes) -> None:
    """Tell the failpoints of each create, whichever way it comes."""
    create, create_and_tell = store.create, store.create_and_tell

    def noted(new: NewPrediction) -> Awaitable[Created]:
        strikes.note_create(is_direct=False)
        return create(new)

    def noted_and_told(new: NewPrediction, told: Callable[[Created | Exception], None]) -> None:
        strikes.note_create(is_direct=True)
        create_and_tell(new, told)

    store.create = noted  # type: ignore[method-assign]
    store.create_and_tell = noted_and_told  # type: ignore[method-assign]


def faulty_store(home: Path, disk: Disk, planted: frozenset[str]) -> Any:
    """`open_sqlite` with all that can go wrong."""
    strikes = Strikes(home)

    @asynccontextmanager
    async def open_store(*args: Any, **kwargs: Any) -> AsyncIterator[SqliteStore]:
        async with open_sqlite(*args, **kwargs, failpoint=strikes, planted=planted) as store:
            watch_creates(store, strikes)
            plant_in_webhooks(store, planted)
            watch_duties(store, home)
            tell_session(store, home)
            following = asyncio.create_task(disk.follow(store))
            try:
                yield store
            finally:
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following

    return open_store


if __name__ == "__main__":
    home = Path(os.environ["FAULT_FOLDER"])
    the_disk = Disk(home)
    bugs = frozenset(filter(None, os.environ.get("FAULT_PLANTED", "").split(",")))
    the_node = node_of(os.environ.get("FAULT_ROLES", ""))
    app.run_server = partial(app.run_server, open_store=faulty_store(home, the_disk, bugs), node=the_node)
    if the_node.is_shared:
        serving.holder_of = lambda _: None
    plant_in_worker(bugs)
    foundation.FileBlobs = full_blobs(the_disk)  # type: ignore[attr-defined]
    limit_room(home)
    serving.become_server = lambda wish: sys.exit(serving.serve(wish))  # another process would not have the faults
    main()
