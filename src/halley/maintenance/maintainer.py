"""Takes back lost work, applies the clocks, and ends what can run nowhere: exactly one process at a time.

Who maintains is elected by a lease in the store (`DutyStore`). Every write carries the fence of that lease, so whoever
lost it without noticing writes nothing. A process that alone uses the data takes the duty at once.
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
    """Fulfils `dispatch.ports.UnrunnableReports`. `run` must be going."""

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
        """`session_id` is that of this process, whose work is not taken back at the start; `is_alone` says that no
        other process uses the data, and `begins_alone` that none does until `open` has returned.
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
        self._held_at = -inf  # when the duty was taken or renewed last, in time that passed
        self._turned_at = clock.elapsed()
        self._reap_from = -inf  # nobody is taken for lost before
        self._begun = asyncio.Event()
        if not (is_alone or begins_alone):  # whoever is alone takes back everything first
            self._begun.set()
        self._unoffered: dict[str, float] = {}  # versions that nobody can run, and since when
        self._reports: dict[str, tuple[str, str]] = {}  # versions to look at now, with error and reason if they failed
        self._reported = asyncio.Event()

    @property
    def is_on_duty(self) -> bool:
        """Whether this one maintains, as far as it knows."""
        return self._term.duty is not None

    def keep_first(self, keep_own: Callable[[], Awaitable[None]]) -> None:
        """Call this before anything is taken back: a worker that was paused with this process renews its leases."""
        self._keep_own = keep_own

    # what workers of this process report

    def unknown(self, version: str) -> None:
        """A worker does not know this version: look whether anybody does."""
        self._reports.setdefault(version, GONE)
        self._reported.set()

    def broken(self, version: str, error: str, reason: str) -> None:
        """A worker cannot run this version: what waits for it fails with the reason, unless another one offers it."""
        self._reports[version] = error, reason
        self._reported.set()

    # the service

    async def open(self) -> None:
        """Take the duty, and what earlier processes left, if this one is alone.

        A store that takes nothing now keeps nobody from reading: then `run` goes on trying.
        """
        try:
            await self._begin()
        except Busy as error:
            _log.warning("nothing is taken back until the database accepts writes again: %s", error)
            if not self._is_alone:  # when it does, others may have come: only what is overdue may be taken from them
                self._begun.set()

    async def run(self) -> None:
        """Maintain whenever it is this one's duty, until cancelled. `open` comes first."""
        async with asyncio.TaskGroup() as group:
            # a report about a version for which nothing waits must not wait itself: it may not be true any more later
            group.create_task(run_forever(self._answer_reports, self._clock, "what cannot run is not ended yet"))
            await retry_until_accepted(self._begin, self._clock, "nothing is taken back yet")
            group.create_task(run_forever(self._turn, self._clock, "timers are paused"))

    async def while_on_duty(self, service: OnDuty) -> NoReturn:
        """Run a service whenever this process maintains, anew each time, until cancelled.

        It gets the duty, so that its writes can carry it. Where this process is alone it always runs, also while the
        store takes nothing, and it gets none if there was none to have.
        """
        if self._is_alone:
            await service(self._term.duty)
        while True:
            await self._term.run(service)
            await self._clock.sleep(TURN_SECONDS)

    async def release(self) -> None:
        """Let another one take over at once. Harmless if it is not this one's duty."""
        if (duty := self._term.duty) is not None:
            self._term.set(None)
            await self._queue.release_duty(duty)

    async def _begin(self) -> None:
        if self._begun.is_set() or (duty := await self._hold()) is None:
            return
        now = self._clock.now()
        for item in await self._queue.reap(duty, now, all_but=self.session_id, max_attempts=self._rules.max_attempts):
            self._tell_reaped(item)
            _log.warning(
                "%s was running when the server stopped: %s",
                item.prediction.id,
                "it will be tried again" if item.requeued else f"it ended {item.prediction.status}",
            )
        self._begun.set()

    async def _turn(self) -> None:
        await self._clock.sleep(TURN_SECONDS)
        self._notice_pause()
        await self._keep_own()
        duty = await self._hold()
        if duty is None:
            self._unoffered.clear()  # time counts from the takeover: workers need theirs to say what they offer
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
        """After a pause of this process others may have been paused with it: first they renew their leases."""
        now = self._clock.elapsed()
        if not self._is_alone and now - self._turned_at > self._rules.lease_seconds / 2:
            self._reap_from = now + self._rules.lease_seconds / 2
        self._turned_at = now

    async def _hold(self) -> Duty | None:
        """The duty, if it is this one's: taken where it is free, renewed in time. Who is alone need not renew it."""
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
        """End what waits for versions that nobody has offered for a time. Whoever is alone waits for nobody."""
        if self._is_alone:
            return  # its own worker reports what it does not know
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
            return  # whoever maintains ends it when nobody offers it, or another one runs it
        if (error, reason) == GONE and (not self._is_alone or await self._can_run(version)):
            return
        try:
            await self._fail(duty, version, error, reason)
        except DutyLost:
            self._lose()
            raise

    async def _can_run(self, version: str) -> bool:
        """Whether anybody offers it, or the configuration names it: then it may only be late, or wait for a repair."""
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
