"""Reaps lost work, applies time limits, and ends predictions that can run nowhere: exactly one process at a time.

The maintainer is elected by a lease in the store (`DutyStore`). Every write carries the fence of that lease, so a
process that lost it without noticing writes nothing. A process that alone uses the data takes the duty at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final, NoReturn

from halley.clock import Clock
from halley.errors import Busy, DutyLost
from halley.maintenance.rules import MaintenanceRules
from halley.maintenance.term import OnDuty, Term
from halley.models.catalog import Catalog
from halley.predictions.duties import MAINTENANCE, Duty
from halley.predictions.hints import Bus, Changed, StopRequested, WorkWaits
from halley.predictions.queue import MaintainedQueue, Reaped
from halley.retry import retry_until_accepted, run_forever

_log: Final = logging.getLogger(__name__)

TURN_SECONDS: Final = 0.5  # how late a deadline may be noticed
GONE: Final = (
    "The version of this prediction is not served here any more: its model was changed or removed.",
    "version_unavailable",
)


class Maintainer:
    """Implements `dispatch.ports.UnrunnableReports`. `run` must be running."""

    def __init__(
        self,
        *,
        queue: MaintainedQueue,
        catalog: Catalog,
        bus: Bus,
        clock: Clock,
        session_id: str,
        rules: MaintenanceRules,
        is_alone: bool,
        begins_alone: bool = False,
    ) -> None:
        """`session_id` is that of this process, whose work is not reaped at the start; `is_alone`: no other process
        uses the data; `begins_alone`: none does until `open` has returned.
        """
        self._queue = queue
        self._catalog = catalog
        self._bus = bus
        self._clock = clock
        self.session_id: Final = session_id
        self._rules = rules
        self._is_alone = is_alone
        self._keep_own: Callable[[], Awaitable[None]] = _nothing
        self._term = Term()
        self._held_at = -inf  # when the duty was last taken or renewed, in elapsed time
        self._turned_at = clock.elapsed()
        self._reap_from = -inf  # no session is reaped before
        self._begun = asyncio.Event()
        if not (is_alone or begins_alone):  # a process that is alone reaps everything first
            self._begun.set()
        self._unoffered: dict[str, float] = {}  # versions that no worker offers, and since when
        self._reports: dict[str, tuple[str, str]] = {}  # versions to check now, with error and reason if they failed
        self._reported = asyncio.Event()

    @property
    def is_on_duty(self) -> bool:
        """Whether this process has the duty, as far as it knows."""
        return self._term.duty is not None

    def keep_first(self, keep_own: Callable[[], Awaitable[None]]) -> None:
        """Called before anything is reaped: a worker that was paused with this process first renews its leases."""
        self._keep_own = keep_own

    # reports of this process's workers

    def unknown(self, version: str) -> None:
        """A worker does not know this version: check whether another does."""
        self._reports.setdefault(version, GONE)
        self._reported.set()

    def broken(self, version: str, error: str, reason: str) -> None:
        """A worker cannot run this version: its waiting predictions fail with the reason, unless another worker offers
        it.
        """
        self._reports[version] = error, reason
        self._reported.set()

    # the service

    async def open(self) -> None:
        """If this process is alone: take the duty, and reap what earlier processes left.

        A store that refuses writes now must not prevent reading: then `run` retries.
        """
        try:
            await self._begin()
        except Busy as error:
            _log.warning("nothing is taken back until the database accepts writes again: %s", error)
            if not self._is_alone:  # by then others may have started: only expired leases may be reaped
                self._begun.set()

    async def run(self) -> None:
        """Maintain while this process has the duty, until cancelled. Call `open` first."""
        async with asyncio.TaskGroup() as group:
            # a report about a version without waiting predictions must not be kept: it may be outdated later
            group.create_task(run_forever(self._answer_reports, self._clock, "what cannot run is not ended yet"))
            await retry_until_accepted(self._begin, self._clock, "nothing is taken back yet")
            group.create_task(run_forever(self._turn, self._clock, "timers are paused"))

    async def while_on_duty(self, service: OnDuty) -> NoReturn:
        """Run a service whenever this process has the duty, again each time, until cancelled.

        It gets the duty, which its writes carry. If this process is alone, it always runs, even while the store refuses
        writes; it gets None if there was no duty.
        """
        if self._is_alone:
            await service(self._term.duty)
        while True:
            await self._term.run(service)
            await self._clock.sleep(TURN_SECONDS)

    async def release(self) -> None:
        """Let another process take over at once. Does nothing without the duty."""
        if (duty := self._term.duty) is not None:
            self._term.set(None)
            await self._queue.release_duty(duty)

    async def _begin(self) -> None:
        if self._begun.is_set() or (duty := await self._hold()) is None:
            return
        now = self._clock.now()
        for item in await self._queue.reap(duty, now, all_but=self.session_id, max_attempts=self._rules.max_attempts):
            self._tell_reaped(item)
            _log.warning("%s was running when the server stopped: %s", item.prediction.id, _consequence(item))
        self._begun.set()

    async def _turn(self) -> None:
        await self._clock.sleep(TURN_SECONDS)
        self._notice_pause()
        await self._keep_own()
        duty = await self._hold()
        if duty is None:
            self._unoffered.clear()  # time counts from the takeover: workers need time to report their offers
            return
        try:
            await self._maintain(duty)
        except DutyLost:
            self._lose()
            raise

    async def _maintain(self, duty: Duty) -> None:
        await self._expire(duty)
        if self._clock.elapsed() >= self._reap_from:
            for item in await self._queue.reap(duty, self._clock.now(), max_attempts=self._rules.max_attempts):
                self._tell_reaped(item)
        await self._end_unoffered(duty)

    def _notice_pause(self) -> None:
        """After a pause of this process, workers may have been paused with it: they first renew their leases."""
        now = self._clock.elapsed()
        if not self._is_alone and now - self._turned_at > self._rules.lease_seconds / 2:
            self._reap_from = now + self._rules.lease_seconds / 2
        self._turned_at = now

    async def _hold(self) -> Duty | None:
        """The duty, if this process has it: taken if it is free, renewed in time. A process that is alone need not
        renew it.
        """
        began, seconds = self._clock.elapsed(), self._rules.lease_seconds
        if (duty := self._term.duty) is None:
            duty = await self._queue.hold_duty(
                MAINTENANCE,
                self.session_id,
                self._clock.now(),
                seconds,
                alone=self._is_alone or not self._begun.is_set(),
            )
        elif not self._is_alone and began - self._held_at > seconds / 4:
            try:
                await self._queue.renew_duty(duty, self._clock.now(), seconds)
            except DutyLost:
                self._lose()
                raise
        else:
            return duty
        self._held_at = began
        self._term.set(duty)
        return duty

    def _lose(self) -> None:
        self._term.set(None)
        _log.warning("another process maintains the queue now")

    async def _expire(self, duty: Duty) -> None:
        for item in await self._queue.expire(duty, self._clock.now(), self._rules.max_queue_seconds):
            self._bus.publish(Changed(item.prediction.id))
            if item.was_leased:
                self._bus.publish(StopRequested(item.prediction.id))

    def _tell_reaped(self, item: Reaped) -> None:
        self._bus.publish(Changed(item.prediction.id))
        if item.requeued:
            self._bus.publish(WorkWaits(item.prediction.version))

    async def _end_unoffered(self, duty: Duty) -> None:
        """End waiting predictions of versions that no worker has offered for a time. A process that is alone does not
        wait.
        """
        if self._is_alone:
            return  # its own worker reports unknown versions
        unknown = {version for version in await self._queue.waiting() if not await self._can_run(version)}
        now = self._clock.elapsed()
        self._unoffered = {version: self._unoffered.get(version, now) for version in unknown}
        for version, since in list(self._unoffered.items()):
            if now - since >= self._rules.unoffered_seconds:
                await self._fail(duty, version, *GONE)

    async def _answer_reports(self) -> None:
        await self._reported.wait()
        for version, (error, reason) in list(self._reports.items()):
            await self._answer(version, error, reason)
            if self._reports.get(version) == (error, reason):
                del self._reports[version]
        if not self._reports:
            self._reported.clear()

    async def _answer(self, version: str, error: str, reason: str) -> None:
        if version not in await self._queue.waiting():
            return
        await self._begun.wait()
        duty = await self._hold()
        if duty is None or version in await self._queue.offered(but_of=self.session_id):
            return  # the maintainer ends it if no worker offers it, or another worker runs it
        if (error, reason) == GONE and (not self._is_alone or await self._can_run(version)):
            return
        try:
            await self._fail(duty, version, error, reason)
        except DutyLost:
            self._lose()
            raise

    async def _can_run(self, version: str) -> bool:
        """Whether a worker offers it, or the configuration names it: then it may only be late, or wait for a repair."""
        if self._catalog.by_id(version) is not None or self._catalog.is_loading:
            return True
        if version in await self._queue.offered(but_of=self.session_id):
            return True
        model = await self._queue.model_waited_for(version)
        is_loaded = self._catalog.by_id(version) is not None  # at this moment
        return model is None or is_loaded or self._catalog.is_broken(model)

    async def _fail(self, duty: Duty, version: str, error: str, reason: str) -> None:
        for prediction in await self._queue.fail_waiting(duty, version, self._clock.now(), error, reason):
            self._bus.publish(Changed(prediction.id))


async def _nothing() -> None:
    return


def _consequence(item: Reaped) -> str:
    if not item.requeued:
        return f"it ended {item.prediction.status}"
    if item.prediction.submit_state is not None:
        return f"its run at {item.prediction.provider} is looked for, and followed to its end"
    return "it will be tried again"
