"""Polls the runs of a service, all of them within one limit."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from halley.clock import Clock
from halley.providers.services.pace import ServicePace
from halley.providers.services.poll_rules import PollRules
from halley.providers.services.run_snapshot import RunSnapshot
from halley.wakeable_sleep import WakeableSleep

_log: Final = logging.getLogger(__name__)

LONGEST_RETRY_SECONDS: Final = 30.0
OUTAGE_POLLS: Final = 5  # so many polls that fail in a row are a fault of the service, not of one run


class PolledState(msgspec.Struct, frozen=True, kw_only=True):
    """What one poll shows: a run, that the service has no such run, or a fault.

    `is_over`: there are no more polls. `unreadable`: why neither this answer nor a later one can be read.
    """

    run: RunSnapshot | None = None
    is_gone: bool = False
    fault: str = ""
    unreadable: str = ""
    is_over: bool = False


Ask = Callable[[str], Awaitable[PolledState]]


class Watch:
    """One run that is polled. `next` is called by one follower."""

    def __init__(self, handle: str, wake: Callable[[], None], relies_on_hints: Callable[[], bool]) -> None:
        self.handle = handle
        self.relies_on_hints = relies_on_hints
        self.due: float | None = 0.0  # None: a poll is on its way, or no follower waits for one
        self._wake = wake
        self._waiter: asyncio.Future[PolledState] | None = None
        self._end: PolledState | None = None
        self.interval = 0.0
        self.asked_at = 0.0
        self.is_hinted = False  # since the last poll began
        self.gone_since: float | None = None

    @property
    def is_wanted(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    async def next(self) -> PolledState:
        """The result of the next poll."""
        if self._end is not None:
            return self._end
        self._waiter = asyncio.get_running_loop().create_future()
        self._wake()
        return await self._waiter

    def deliver(self, result: PolledState) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(result)

    def end(self, result: PolledState) -> None:
        """Every result from now on is this one."""
        self._end = result
        self.deliver(result)

    def hasten(self) -> None:
        """Poll at once, as far as the service allows."""
        if self.due is not None:
            self.due = 0.0
        self._wake()


class Poller:
    """One loop for all runs of a service: the run that has been due longest is polled next.

    The loop exists only while a follower waits for a result.
    """

    def __init__(
        self, ask: Ask, *, clock: Clock, pace: ServicePace, rules: PollRules, chance: Callable[[], float]
    ) -> None:
        """`chance` gives a number from 0 to 1 for the jitter."""
        self._ask = ask
        self._clock = clock
        self._pace = pace
        self._rules = rules
        self._chance = chance
        self._watches: set[Watch] = set()
        self._asking: set[asyncio.Task[None]] = set()
        self._sleep = WakeableSleep(clock)
        self._loop: asyncio.Task[None] | None = None
        self._next_turn = 0.0
        self._failing: set[Watch] = set()  # polls of these failed, so they wait longer
        self._failed_polls = 0  # in a row

    @contextmanager
    def watch(
        self, handle: str, *, is_new: bool = False, relies_on_hints: Callable[[], bool] = lambda: False
    ) -> Iterator[Watch]:
        """Poll this run while the block runs; the first poll is due at once, unless the run has only just begun.

        While it `relies_on_hints`, it is polled rarely: a hint is expected for everything that happens.
        """
        watch = Watch(handle, self._wake, relies_on_hints)
        watch.interval = self._rules.first_seconds
        if is_new:
            watch.due = self._clock.monotonic() + self._seconds_until_next(watch)
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            self._failing.discard(watch)

    def schedule_next(self, watch: Watch, *, has_changed: bool) -> None:
        """Set when the run is polled next: soon after a change, at growing intervals without one."""
        rules = self._rules
        if has_changed:
            watch.interval = rules.changed_seconds
        watch.due = self._clock.monotonic() + self._seconds_until_next(watch) * (0.75 + 0.5 * self._chance())
        watch.interval = min(watch.interval * rules.growth, rules.longest_seconds)
        if watch.is_hinted:
            watch.due = min(watch.due, watch.asked_at + rules.changed_seconds)
        self._failing.discard(watch)
        self._end_outage()

    def _seconds_until_next(self, watch: Watch) -> float:
        return max(watch.interval, self._rules.hinted_seconds) if watch.relies_on_hints() else watch.interval

    def hint(self, watch: Watch) -> None:
        """There is something new: poll it soon, but not more often than a run that changes."""
        watch.is_hinted = True
        if watch.due is not None:
            watch.due = min(watch.due, watch.asked_at + self._rules.changed_seconds)
            self._wake()

    def is_lost(self, watch: Watch, *, is_gone: bool) -> bool:
        """Note whether the service knows the run; returns whether it has not known the run for `gone_seconds`."""
        now = self._clock.monotonic()
        if not is_gone:
            watch.gone_since = None
        elif watch.gone_since is None:
            watch.gone_since = now
        return watch.gone_since is not None and now - watch.gone_since >= self._rules.gone_seconds

    def poll_failed(self, watch: Watch) -> None:
        """The poll failed: wait longer, each time twice as long."""
        watch.due = self._clock.monotonic() + watch.interval * (0.75 + 0.5 * self._chance())
        watch.interval = min(watch.interval * 2, LONGEST_RETRY_SECONDS)
        self._failing.add(watch)
        self._failed_polls += 1

    def _end_outage(self) -> None:
        """The service answers again: if it did not before, soon poll all runs whose interval grew because of that."""
        if self._failed_polls >= OUTAGE_POLLS:
            soon = self._clock.monotonic() + self._rules.changed_seconds
            for watch in self._failing:
                watch.interval = self._rules.first_seconds
                watch.due = None if watch.due is None else min(watch.due, soon)
            self._failing.clear()
            self._wake()
        self._failed_polls = 0

    async def close(self) -> None:
        """End the loop and the polls that have no answer yet."""
        tasks = [task for task in (self._loop, *self._asking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self) -> None:
        if self._loop is None or self._loop.done():
            self._loop = asyncio.ensure_future(self._run())
        self._sleep.ring()

    async def _run(self) -> None:
        while waiting := [watch for watch in self._watches if watch.is_wanted]:
            ready = [watch for watch in waiting if watch.due is not None]
            if not ready or len(self._asking) >= self._rules.at_once:
                await self._sleep.sleep()  # the end of a poll wakes it
                continue
            first = min(ready, key=_due)
            now = self._clock.monotonic()
            seconds = max(_due(first), self._next_turn, now + self._pace.paused_seconds) - now
            if seconds > 0:
                await self._sleep.sleep(seconds)
                continue
            self._next_turn = now + 1 / self._rules.per_second
            first.due, first.asked_at, first.is_hinted = None, now, False
            task = asyncio.ensure_future(self._poll(first))
            self._asking.add(task)
            task.add_done_callback(self._asked)

    async def _poll(self, watch: Watch) -> None:
        try:
            result = await self._ask(watch.handle)
        except Exception as error:  # noqa: BLE001 - its follower would wait without end
            _log.exception("polling %s failed", watch.handle)
            result = PolledState(fault=f"An internal error: {error!r}")
        watch.deliver(result)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        self._sleep.ring()


def _due(watch: Watch) -> float:
    return 0.0 if watch.due is None else watch.due
