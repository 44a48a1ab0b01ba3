"""A data folder with a given number of ended predictions, written by the server's own store; made once, then reused."""

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager, closing

import msgspec
from halley_server import PROMPT, ask, halley_environment, serve, until
from machine import free_port, running

from halley.clock import SystemClock
from halley.ids import TimeOrderedIds
from halley.predictions.ports import NewPrediction
from halley.predictions.records import NewEvent, OutputItem, Prediction
from halley.predictions.status import EventKind, Fact
from halley.store.sqlite import open_sqlite

BATCH = 200
SESSION, SESSION_SECONDS = "bench", 3600.0
INPUT = msgspec.json.encode(PROMPT["input"])
OUTPUT = msgspec.json.encode(PROMPT["input"]["prompt"])


def database(home):
    return home / "data/halley.db"


def begin(home):
    """Let the real server make the account, the version and a first prediction, unless it did; returns their row."""
    home.mkdir(parents=True, exist_ok=True)
    if not database(home).exists():
        port = free_port()
        create = f"http://127.0.0.1:{port}/v1/models/demo/noop/predictions"
        with running(serve(home, port), port, env=halley_environment(home), cwd=home):
            until(lambda: ask(create, PROMPT, ("Prefer: wait",)))
    with closing(sqlite3.connect(database(home))) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute("SELECT account_id, key_id, version FROM predictions LIMIT 1").fetchone()


def count(home):
    with closing(sqlite3.connect(database(home))) as connection:
        return connection.execute("SELECT count(*) FROM predictions").fetchone()[0]


class Filler:
    """Makes predictions as the server would: created, then started and ended in one transaction."""

    def __init__(self, store, row):
        self.store, self.row = store, row
        self.clock = SystemClock()
        self.new_id = TimeOrderedIds(self.clock)

    def new(self, session_id=None):
        about = {"account_id": self.row["account_id"], "key_id": self.row["key_id"], "version": self.row["version"]}
        prediction = Prediction(id=self.new_id(), model="demo/noop", input=INPUT, created_at=self.clock.now(), **about)
        return NewPrediction(prediction=prediction, session_id=session_id)

    def end(self, lease):
        at = self.clock.now()
        output = OutputItem(value=msgspec.Raw(OUTPUT), files=())
        events = [
            NewEvent(kind=EventKind.STARTED, at=at, data=b""),
            NewEvent(kind=EventKind.OUTPUT_SET, at=at, data=msgspec.json.encode(output)),
        ]
        return self.store.finish(lease, Fact.SUCCEEDED, at, events=events)

    async def life(self):
        await self.end((await self.store.create(self.new(SESSION))).lease)

    async def fill(self, wanted, until):
        """Make that many, or fewer if the time is over; returns how many."""
        made = 0
        while made < wanted and time.monotonic() < until:
            await asyncio.gather(*[self.life() for _ in range(min(BATCH, wanted - made))])
            made += BATCH
        return min(made, wanted)


@asynccontextmanager
async def filler(home):
    """The store of a folder that `begin` made, while no server has it."""
    row = begin(home)
    async with open_sqlite(database(home)) as store:
        found = Filler(store, row)
        await store.open_session(SESSION, found.clock.now(), SESSION_SECONDS)
        yield found
