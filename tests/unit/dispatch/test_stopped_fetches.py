"""A service that sends its files slowly, or never ends: a cancel or the time limit of the run ends that, too."""

import asyncio
from typing import Any

import pytest

from halley.predictions.status import EventKind, Status
from unit.dispatch.conftest import RULES, Harness

pytestmark = pytest.mark.anyio

LINK = "https://a.example/one.png"


class Fetching:
    """In place of the keeper: the files behind the first link have come, those of the others never do."""

    def __init__(self, harness: Harness) -> None:
        self._keep = harness.keeper.keep
        self.begun = asyncio.Event()
        self.canceled = asyncio.Event()
        self.calls = 0
        harness.keeper.keep = self.keep  # type: ignore[method-assign]

    async def keep(self, **given: Any) -> Any:
        self.calls += 1
        if given["links"] and self.calls > 1:
            self.begun.set()
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                self.canceled.set()
                raise
        return await self._keep(**given)


async def begun(harness: Harness, *, is_over: bool = True) -> tuple[str, Fetching]:
    """A prediction whose second file is on its way; its run is over, or continues."""
    fetching = Fetching(harness)
    made = await harness.create()
    run = await harness.provider.next_run()
    for _ in range(3):
        run.put_out(LINK, links=[()])
    if is_over:
        run.end()
    while not fetching.begun.is_set():
        await harness.pass_time(0.5)
    return made.id, fetching


async def test_a_cancel_ends_the_fetching_of_files(harness: Harness) -> None:
    made, fetching = await begun(harness)
    assert (await harness.predictions.cancel(made, "ada")).status is Status.CANCELED
    await asyncio.wait_for(fetching.canceled.wait(), 20)
    await harness.pass_time(2)
    assert fetching.calls == 2  # the third file is not asked for
    assert harness.provider.held == 0


async def test_the_time_limit_of_a_run_ends_the_fetching_of_files(harness: Harness) -> None:
    made, fetching = await begun(harness)
    await harness.pass_time(RULES.run_timeout_seconds + 2)
    ended = await harness.ended(made)
    assert (ended.status, ended.termination_reason) == (Status.FAILED, "run_timeout")
    assert (fetching.canceled.is_set(), fetching.calls) == (True, 2)
    events = await harness.store.read_events(made)
    lost = [bytes(event.data).decode() for event in events if event.kind is EventKind.OUTPUT_NOT_KEPT]
    assert [LINK in text for text in lost] == [True, True]  # that on its way, and that which was not asked for
    assert any(event.kind is EventKind.OUTPUT_ADDED for event in events)  # what had come stays


@pytest.mark.parametrize("is_over", [True, False])
async def test_a_worker_that_stops_leaves_the_run_and_its_files_to_the_next_one(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, *, is_over: bool
) -> None:
    harness.provider.is_local = False
    canceled: list[str] = []
    monkeypatch.setattr(harness.provider, "cancel", canceled.append)
    made, fetching = await begun(harness, is_over=is_over)
    await asyncio.wait_for(harness.worker.drain(10_000.0), 20)
    assert (fetching.canceled.is_set(), fetching.calls) == (True, 2)
    assert canceled == []  # it is paid for, and the next worker adopts it
    kinds = {event.kind for event in await harness.store.read_events(made)}
    assert kinds.isdisjoint({EventKind.OUTPUT_NOT_KEPT, EventKind.FINISHED})
