"""Shared by all suites of the store: a store, a clock that does not move, and predictions."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec
import pytest

from halley.ids import TimeOrderedIds
from halley.predictions.duties import MAINTENANCE, Duty, DutyStore
from halley.predictions.ports import NewPrediction, PredictionStore
from halley.predictions.queue import Claimed, Lease, QueueLimits, WorkQueue
from halley.predictions.records import Event, MetricItem, NewEvent, OutputFile, OutputItem, Prediction
from halley.predictions.status import EventKind
from halley.store.ports import Store
from halley.testing.clock import T0, FakeClock

VERSION: Final = "a" * 64
OTHER_VERSION: Final = "b" * 64
LEASE_SECONDS: Final = 20.0
SMALL: Final = QueueLimits(per_account=2, total=3)

PICTURE: Final = OutputFile(
    ref="asset:x/0/a.png", index=0, name="a.png", sha256="f" * 64, size_bytes=9, content_type="image/png"
)


def _repeatable(seed: int) -> Callable[[int], str]:
    chosen = random.Random(seed)  # noqa: S311 - the same ids each time
    return lambda length: "".join(chosen.choices("0123456789abcdefghjkmnpqrstvwxyz", k=length))


class Maker:
    """Makes predictions and events, always the same ones."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.new_id = TimeOrderedIds(self.clock, _repeatable(7))

    def prediction(self, account_id: str = "anna", **members: Any) -> Prediction:
        """A new prediction, one millisecond after the previous one."""
        self.clock.advance(0.001)
        given: dict[str, Any] = {
            "model": "demo/noop",
            "version": VERSION,
            "input": b'{"text":"hello"}',
            "created_at": self.clock.now(),
            **members,
        }
        return Prediction(id=self.new_id(), account_id=account_id, **given)

    def new(self, account_id: str = "anna", **members: Any) -> NewPrediction:
        """A waiting prediction."""
        return NewPrediction(prediction=self.prediction(account_id, **members))

    def event(self, kind: EventKind, data: Any = None) -> NewEvent:
        return NewEvent(kind=kind, at=self.clock.now(), data=msgspec.json.encode(data))

    def started(self) -> NewEvent:
        return self.event(EventKind.STARTED)

    def said(self, text: str) -> NewEvent:
        return self.event(EventKind.LOGGED, text)

    def output(self, value: Any, files: Sequence[OutputFile] = ()) -> NewEvent:
        item = OutputItem(value=msgspec.Raw(msgspec.json.encode(value)), files=tuple(files))
        return self.event(EventKind.OUTPUT_SET, item)

    def part(self, value: Any) -> NewEvent:
        return self.event(EventKind.OUTPUT_ADDED, OutputItem(value=msgspec.Raw(msgspec.json.encode(value))))

    def metric(self, name: str, value: object, mode: Literal["replace", "incr", "append"] = "replace") -> NewEvent:
        return self.event(EventKind.METRIC_RECORDED, MetricItem(name=name, value=value, mode=mode))


class StoreSuite:
    """The fixtures of every suite. Give `store`, and `small_store` with the limits SMALL.

    Their clock is that of `maker`.
    """

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def small_store(self) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def maker(self) -> Maker:
        return Maker()


async def claim_one(store: WorkQueue, maker: Maker, session_id: str = "s1") -> Claimed:
    """Open the session and claim the first prediction."""
    await store.open_session(session_id, maker.clock.now(), LEASE_SECONDS)
    (claimed,) = await store.claim(session_id, {VERSION: 1}, maker.clock.now())
    return claimed


async def on_duty(store: DutyStore) -> Duty:
    """The duty to maintain, held by the maintainer that most suites use."""
    duty = await store.hold_duty(MAINTENANCE, "maintainer", T0, LEASE_SECONDS, alone=True)
    assert duty is not None
    return duty


async def leased(store: Store, maker: Maker, session_id: str = "s1", **members: Any) -> Lease:
    """A new prediction that the session has leased."""
    await store.create(maker.new(**members))
    return (await claim_one(store, maker, session_id)).lease


async def running(store: Store, maker: Maker, session_id: str = "s1", **members: Any) -> Lease:
    """A fresh prediction that has started."""
    lease = await leased(store, maker, session_id, **members)
    await store.append_events(lease, [maker.started()])
    return lease


async def row_of(store: PredictionStore, prediction_id: str) -> Prediction:
    """The row, which must be there."""
    row = await store.get(prediction_id)
    assert row is not None
    return row


async def kinds_of(store: PredictionStore, prediction_id: str) -> list[EventKind]:
    """The kinds of its events, in order; seq has no gaps."""
    events = await store.read_events(prediction_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.kind for event in events]


def data_of(events: Sequence[Event], kind: EventKind) -> list[Any]:
    """The data of all events of this kind."""
    return [msgspec.json.decode(event.data) for event in events if event.kind is kind]
