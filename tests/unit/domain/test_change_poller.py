"""Changes whose hint was lost: one look for all who wait, counted from the last look."""

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import pytest

from halley.api.waiting.change_poller import POLL_SECONDS, ChangePoller
from halley.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


class Log:
    """Facts about predictions, one offset each; counts how it is asked."""

    def __init__(self) -> None:
        self.facts: list[str] = []
        self.looks = 0
        self.searches = 0

    async def newest_offset(self) -> int:
        self.looks += 1
        return len(self.facts)

    async def changed_between(self, after: int, up_to: int) -> list[str]:
        self.searches += 1
        return sorted(set(self.facts[after:up_to]))


class Hub:
    """Who waits for which prediction."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callable[[], None]]] = {}

    def look(self, changed: Collection[str]) -> None:
        for wake in [wake for name in changed for wake in self.waiting.get(name, ())]:
            wake()


class Woken:
    """Who was woken, how often."""

    def __init__(self, hub: Hub, *names: str) -> None:
        self.counts = dict.fromkeys(names, 0)
        for name in names:
            hub.waiting.setdefault(name, []).append(partial(self._wake, name))

    def _wake(self, name: str) -> None:
        self.counts[name] += 1


async def opened(log: Log, hub: Hub) -> tuple[ChangePoller, FakeClock]:
    clock = FakeClock()
    change_poller = ChangePoller(log=log, clock=clock)
    change_poller.tell(hub.look, is_wanted=lambda: bool(hub.waiting))
    await change_poller.open()
    return change_poller, clock


async def test_only_who_waits_for_what_changed_is_woken(anyio_backend: str) -> None:
    log, hub = Log(), Hub()
    log.facts += ["old"]
    change_poller, _ = await opened(log, hub)
    woken = Woken(hub, "old", "new", "other")
    log.facts += ["new", "new", "stranger"]
    await change_poller.look()
    await change_poller.look()
    assert woken.counts == {"old": 0, "new": 1, "other": 0}


async def test_many_who_wait_cost_one_step_of_an_index(anyio_backend: str) -> None:
    log, hub = Log(), Hub()
    change_poller, _ = await opened(log, hub)
    woken = Woken(hub, *map(str, range(5000)))
    for _ in range(10):
        await change_poller.look()
    assert (log.looks, log.searches) == (11, 0)
    log.facts += ["17"]
    await change_poller.look()
    assert (log.looks, log.searches, sum(woken.counts.values())) == (12, 1, 1)


async def test_changes_without_a_waiting_client_are_not_looked_up(anyio_backend: str) -> None:
    log, hub = Log(), Hub()
    change_poller, _ = await opened(log, hub)
    log.facts += ["a"] * 1000
    await change_poller.look()
    woken = Woken(hub, "a")
    await change_poller.look()
    assert (log.searches, woken.counts) == (0, {"a": 0})
    log.facts += ["a"]
    await change_poller.look()
    assert (log.searches, woken.counts) == (1, {"a": 1})


async def test_who_comes_while_it_looks_misses_nothing(anyio_backend: str) -> None:
    hub = Hub()

    class Slow(Log):
        async def newest_offset(self) -> int:
            newest = await super().newest_offset()
            if late:
                Woken(hub, "a")  # it reads what is there now, and waits for what comes
                self.facts += ["a"]
            return newest

    late: list[Any] = []
    log = Slow()
    change_poller, _ = await opened(log, hub)
    late.append(1)
    await change_poller.look()
    late.clear()
    woken = Woken(hub, "a")
    await change_poller.look()
    assert woken.counts == {"a": 1}


async def test_polls_follow_the_last_one_in_time_even_with_hints(anyio_backend: str) -> None:
    log, hub = Log(), Hub()
    change_poller, clock = await opened(log, hub)
    woken = Woken(hub, "a", "b")
    turn = asyncio.ensure_future(change_poller.turn())
    log.facts += ["a"]
    for _ in range(int(POLL_SECONDS / 0.1)):
        await asyncio.sleep(0)
        assert not turn.done()
        hub.look(["b"])  # a hint
        clock.advance(0.1 + 1e-9)
    await asyncio.wait_for(turn, 60)
    assert woken.counts["a"] == 1


async def test_a_failed_poll_is_corrected_by_the_next(anyio_backend: str) -> None:
    class Broken(Log):
        async def changed_between(self, after: int, up_to: int) -> list[str]:
            if not self.searches:
                self.searches += 1
                raise OSError("the disk")
            return await super().changed_between(after, up_to)

    log, hub = Broken(), Hub()
    change_poller, _ = await opened(log, hub)
    woken = Woken(hub, "a")
    log.facts += ["a"]
    with pytest.raises(OSError, match="the disk"):
        await change_poller.look()
    await change_poller.look()
    assert woken.counts == {"a": 1}
