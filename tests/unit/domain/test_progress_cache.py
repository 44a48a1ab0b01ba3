"""The cached progress of running predictions equals a read of all their events."""

import asyncio
import random

import msgspec
import pytest

from halley.predictions.progress import fold
from halley.predictions.progress_cache import KEPT_SECONDS, CachedProgress, ProgressCache
from halley.predictions.reading import PredictionReader
from halley.predictions.records import Event, MetricItem, OutputItem, Prediction
from halley.predictions.status import EventKind, Source, Status
from halley.testing.clock import T0, FakeClock

pytestmark = pytest.mark.anyio

ROW = Prediction(
    id="p",
    account_id="a",
    status=Status.PROCESSING,
    model="m/m",
    version="v",
    source=Source.API,
    created_at=T0,
    input=b"{}",
)


def event(seq: int, chance: random.Random) -> Event:
    kind, data = chance.choice(
        [
            (EventKind.OUTPUT_ADDED, OutputItem(value=msgspec.Raw(b"%d" % seq))),
            (EventKind.LOGGED, f"line {seq}\n"),
            (EventKind.METRIC_RECORDED, MetricItem(name="all", value=seq, mode="append")),
            (EventKind.METRIC_RECORDED, MetricItem(name="count", value=1, mode="incr")),
            (EventKind.PROGRESSED, None),
            (EventKind.STARTED, None),
        ]
    )
    return Event(prediction_id="p", seq=seq, attempt=1, kind=kind, at=T0, data=msgspec.json.encode(data))


def told(row: Prediction) -> tuple[object, ...]:
    return row.output, row.files, row.logs, row.metrics


@pytest.mark.parametrize("seed", range(50))
async def test_readers_at_the_same_time_see_all_events(seed: int) -> None:
    chance = random.Random(seed)
    log: list[Event] = []
    running = ProgressCache(FakeClock(), limit_bytes=chance.choice([0, 300, 10**6]))

    async def read() -> None:
        so_far = running.of("p")
        while True:
            found = [one for one in log if one.seq > so_far.after][:3]  # the store's answer, as it is when it is asked
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            so_far.add(found)
            if len(found) < 3:
                break
        running.keep("p", so_far)
        seen.append((so_far.after, so_far.fill(ROW)))

    seen: list[tuple[int, Prediction]] = []
    async with asyncio.TaskGroup() as tasks:
        for seq in range(1, 60):
            log.append(event(seq, chance))
            if chance.random() < 0.4:
                tasks.create_task(read())
            if chance.random() < 0.5:
                await asyncio.sleep(0)
    await read()
    assert seen[-1][0] == 59
    for after, row in seen:  # also those whose metrics have grown since
        whole = fold(log[:after])
        assert told(row) == (whole.output, whole.files, whole.logs, whole.metrics)


def sized(size: int) -> CachedProgress:
    found = CachedProgress()
    text = "x" * size
    found.add(
        [Event(prediction_id="p", seq=1, attempt=1, kind=EventKind.LOGGED, at=T0, data=msgspec.json.encode(text))]
    )
    return found


def test_it_is_bounded_and_removes_the_least_recently_read_first() -> None:
    running = ProgressCache(FakeClock(), limit_bytes=10_000)
    for name in "abc":
        running.keep(name, sized(3000))
    running.keep("a", running.of("a"))
    running.keep("d", sized(3000))
    assert [running.of(name).after for name in "abcd"] == [1, 0, 1, 1]
    running.keep("huge", sized(20_000))
    assert [running.of(name).after for name in ("huge", "a", "c", "d")] == [0, 1, 1, 1]
    for name in "acd":
        running.forget(name)
    running.forget("d")
    for name in "efg":
        running.keep(name, sized(3000))
    assert [running.of(name).after for name in "efg"] == [1, 1, 1], "what is forgotten takes no room"


async def test_progress_without_readers_is_dropped() -> None:
    clock = FakeClock()
    running = ProgressCache(clock)
    housekeeping = asyncio.ensure_future(running.run())
    for name in "ab":
        running.keep(name, sized(10))
    for _ in range(4):
        for _ in range(3):
            await asyncio.sleep(0)
        clock.advance(KEPT_SECONDS / 2)
        running.keep("a", running.of("a"))
    assert [running.of(name).after for name in "ab"] == [1, 0]
    housekeeping.cancel()


async def test_a_long_output_is_read_in_steps_between_which_other_work_continues() -> None:
    pieces = msgspec.json.encode(OutputItem(value=msgspec.Raw(b"1")))
    log = [
        Event(prediction_id="p", seq=seq, attempt=1, kind=EventKind.OUTPUT_ADDED, at=T0, data=pieces)
        for seq in range(1, 10_001)
    ]
    turns = 0

    class Store:
        async def read_events(self, prediction_id: str, after: int, limit: int) -> list[Event]:
            del prediction_id
            return log[after : after + limit]

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    cache = ProgressCache(FakeClock())
    reader = PredictionReader(store=Store(), data_ends=None, clock=FakeClock(), running=cache)  # type: ignore[arg-type]
    task = asyncio.ensure_future(other_work())
    row, last = await reader.filled_to(ROW)
    task.cancel()
    assert (last, msgspec.json.decode(row.output or b"")) == (10_000, [1] * 10_000)
    assert turns >= 4
