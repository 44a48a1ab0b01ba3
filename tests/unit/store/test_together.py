"""Creates and ends that are written together end as those that are written one by one."""

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from halley.predictions.ports import Created, InputFile, NewPrediction
from halley.predictions.queue import Claimed, Finished, Lease, Returned
from halley.predictions.records import NewEvent
from halley.predictions.repeats import IdempotencyKey
from halley.predictions.status import EventKind, Fact, Source
from halley.store.sqlite import SqliteStore, open_sqlite, store
from halley.store.sqlite.usual_creates import INSERT_LEASED, INSERT_WAITING
from halley.store.sqlite.usual_ends import END, END_RETURNED
from halley.testing.stores.maker import LEASE_SECONDS, PICTURE, VERSION, Maker

pytestmark = pytest.mark.anyio
TABLES = (
    *("predictions", "queue", "events", "models", "idempotency", "repeated_creates", "webhook_link_bases"),
    *("blob_references", "sessions"),
)
BATCHES, LARGEST = 30, 12


class Mix:
    """Random work on a store, always the same for a seed. What it is told goes into `told`."""

    def __init__(self, store: SqliteStore, maker: Maker, seed: int) -> None:
        self.store, self.maker = store, maker
        self.random = random.Random(seed)
        self.told: list[object] = []
        self._leases: list[Lease] = []
        self._made: list[NewPrediction] = []

    async def run(self) -> None:
        for name in ("s1", "s2"):
            await self.store.open_session(name, self.maker.clock.now(), LEASE_SECONDS)
        for _ in range(BATCHES):
            self.maker.clock.advance(10.0)
            if self.random.random() < 0.05:
                self.maker.clock.jump(self.random.choice([-60.0, 60.0]))
            batch = [self._step() for _ in range(self.random.randint(1, LARGEST))]
            outcomes = await asyncio.gather(*batch, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, list):  # turns and ages depend on how many transactions there were
                    claims = [msgspec.structs.replace(claimed, waited_seconds=0.0) for claimed in outcome]
                    self.told.append(sorted(map(repr, claims)))
                else:
                    self.told.append(repr(outcome))
                self._learn(outcome)

    def _learn(self, outcome: object) -> None:
        if isinstance(outcome, Created) and outcome.lease is not None:
            self._leases.append(outcome.lease)
        elif isinstance(outcome, list):
            leases = [claimed.lease for claimed in outcome if isinstance(claimed, Claimed)]
            self._leases += sorted(leases, key=lambda lease: lease.prediction_id)

    def _step(self) -> Awaitable[object]:
        steps: list[Callable[[], Awaitable[object]]] = [self._create]
        if self._leases:
            steps = [self._create] * 4 + [self._finish] * 6 + [self._append, self._cancel, self._other]
        return self.random.choice(steps)()

    def _create(self) -> Awaitable[object]:
        pick = self.random
        account = pick.choice(["anna", "ben"])
        if self._made and pick.random() < 0.04:
            new = pick.choice(self._made)
            if pick.random() < 0.5:  # the id of another account's
                new = msgspec.structs.replace(new, prediction=self._with_id_of(new))
        elif pick.random() < 0.7:
            members = {"created_with_wait": pick.random() < 0.5, "key_id": pick.choice([None, "k1"])}
            prediction = self.maker.prediction(account, model=pick.choice(["demo/noop", "demo/echo"]), **members)
            new = NewPrediction(prediction=prediction, session_id=pick.choice(["s1", "s1", "s1", "s2", "gone", None]))
        else:
            new = self._unusual(account)
        self._made.append(new)
        return self.store.create(new)

    def _with_id_of(self, new: NewPrediction) -> object:
        return msgspec.structs.replace(new.prediction, account_id="carl")

    def _unusual(self, account: str) -> NewPrediction:
        pick, now = self.random, self.maker.clock.now()
        members, more = pick.choice(
            [
                ({"deadline_at": now + timedelta(hours=1)}, {}),
                (
                    {"webhook": "https://example.com/hook", "webhook_events_filter": ("start",)},
                    {"link_base": "http://h"},
                ),
                ({"deployment": "team/fast", "priority": 3, "source": Source.WEB}, {}),
                ({"cancel_abandoned": True}, {"work_input": b'{"key":"secret"}', "context": b'{"a":"b"}'}),
                ({}, {"files": (InputFile(sha256="f" * 64, name="a.png"),)}),
                ({}, {"idempotency": IdempotencyKey(key="x", digest=b"d" * 32, expires_at=now + timedelta(hours=1))}),
                ({}, {"session_id": None}),
            ]
        )
        given = {"session_id": "s1", **more}
        return NewPrediction(prediction=self.maker.prediction(account, **members), **given)

    def _finish(self) -> Awaitable[object]:
        pick, maker = self.random, self.maker
        lease = pick.choice(self._leases[-20:])
        if pick.random() < 0.8:
            self._leases.remove(lease)
        if pick.random() < 0.05:
            lease = msgspec.structs.replace(lease, fence=lease.fence + 1)
        if pick.random() < 0.5:
            return self._return(lease)
        start = NewEvent(kind=EventKind.STARTED, at=maker.clock.now(), data=pick.choice([b"", b"", b"null"]))
        events = [start, maker.output("done")]
        if pick.random() < 0.5:
            more = [maker.said("a\n"), maker.metric("n", 3), maker.output(1, [PICTURE]), maker.part(2)]
            events = [*events[: pick.randint(0, 1)], *pick.sample(more, pick.randint(0, len(more)))]
        how = {"error": "ValueError: no", "reason": "crashed"} if (fails := pick.random() < 0.1) else {}
        fact = Fact.FAILED if fails else Fact.SUCCEEDED
        predict_time = pick.choice([None, 0.25])
        return self.store.finish(lease, fact, maker.clock.now(), events=events, predict_time=predict_time, **how)

    async def _return(self, lease: Lease) -> object:
        pick, now = self.random, self.maker.clock.now()
        output, predict_time = pick.choice([b'"done"', b'"done"', None, b"9" * 5000]), pick.choice([None, 0.25])
        returned = Returned(started_at=now, at=now + timedelta(seconds=1), output=output, predict_time=predict_time)
        told: asyncio.Future[Finished | Exception] = asyncio.get_running_loop().create_future()
        self.store.finish_returned(lease, returned, told.set_result)
        outcome = await told
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _append(self) -> Awaitable[object]:
        lease = self.random.choice(self._leases[-20:])
        return self.store.append_events(lease, [self.maker.started(), self.maker.said("b\n")])

    def _cancel(self) -> Awaitable[object]:
        lease = self.random.choice(self._leases[-20:])
        return self.store.cancel(lease.prediction_id, None, self.maker.clock.now())

    def _other(self) -> Awaitable[object]:
        now, lease = self.maker.clock.now(), self.random.choice(self._leases[-20:])
        return self.random.choice(
            [
                lambda: self.store.claim("s1", {VERSION: 1000}, now),
                lambda: self.store.release(lease, now),
                lambda: self.store.note_repeat(lease.prediction_id, now, "retry_counter"),
                lambda: self.store.show_input(lease, b'{"text":"***"}'),
                lambda: self.store.record_intent(lease, "upstream"),
                self.store.waiting,
            ]
        )()


async def outcome_of(path: Path, seed: int) -> tuple[list[object], dict[str, object], list[str]]:
    """What a mix was told, all rows after it, and the statements."""
    maker, asked = Maker(), []
    async with open_sqlite(path, clock=maker.clock) as opened:
        await opened._writer.submit(lambda connection: connection.set_trace_callback(asked.append))
        mix = Mix(opened, maker, seed)
        await mix.run()
    reading = sqlite3.connect(path)
    rows = {table: reading.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}
    reading.close()
    return mix.told, rows, asked


@pytest.mark.parametrize("seed", range(8))
async def test_any_mix_ends_as_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    told, rows, asked = await outcome_of(tmp_path / "together.db", seed)
    monkeypatch.setattr(store, "TOGETHER", {})
    plainly_told, plain_rows, _ = await outcome_of(tmp_path / "one_by_one.db", seed)
    assert told == plainly_told
    for table in TABLES:
        assert rows[table] == plain_rows[table], table
    for insert in (INSERT_LEASED, INSERT_WAITING):
        lease = next(insert._portions.of([()]))[0].rpartition("'starting'")[2]
        assert any(text.startswith("INSERT INTO predictions (account_id") and lease in text for text in asked)
    for end in (END, END_RETURNED):
        assert sum(text.startswith(end.partition("?")[0]) for text in asked) > BATCHES / 2
    assert asked.count("ROLLBACK") < BATCHES / 2
