"""The background service of webhooks: reads the log, sends messages, and cleans up."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import msgspec

from halley.ids import NewId
from halley.predictions.hints import Hint, MessageWaits
from halley.retry import HousekeepingFaults, retry_until_accepted, run_forever, run_housekeeping
from halley.webhooks.endpoint_queues import EndpointQueues
from halley.webhooks.feed import POLL_SECONDS, Feed
from halley.webhooks.message_source import MessageSource
from halley.webhooks.monotonic_wall_clock import MonotonicWallClock
from halley.webhooks.ports import DeliveryStore
from halley.webhooks.schedule import Chance, Schedule
from halley.webhooks.sender import DeliveryLimits, Sender
from halley.webhooks.updates import Updates

_log: Final = logging.getLogger(__name__)

_TIDY_SECONDS: Final = 60.0
_FORGET_AT_ONCE: Final = 500
_DRAIN_LOOK_SECONDS: Final = 0.05
_LAST_WORDS_SECONDS: Final = 2.0  # after a stop, for predictions that ended with it; a long queue is not sent then
_INTERRUPTED: Final = "The server stopped during this attempt: it is unknown whether it arrived."


class WebhookRules(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that an operator may set."""

    connect_seconds: float = 5.0
    total_seconds: float = 10.0
    retry_first_seconds: float = 2.0
    retry_for_seconds: float = 62.0
    per_endpoint: int = 4
    log_seconds: float = 7 * 86_400.0

    @property
    def of_one_attempt(self) -> DeliveryLimits:
        """How long one attempt may take."""
        return DeliveryLimits(connect_seconds=self.connect_seconds, total_seconds=self.total_seconds)


class WebhookService:
    """Sends all webhook messages. `run` must be running."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        source: MessageSource,
        sender: Sender,
        pause_clock: MonotonicWallClock,
        new_id: NewId,
        chance: Chance,
        rules: WebhookRules,
        housekeeping_faults: HousekeepingFaults | None = None,
    ) -> None:
        self._store = store
        self._troubles = housekeeping_faults or HousekeepingFaults()
        self._clock = pause_clock.clock
        self._pause_clock = pause_clock
        self._rules = rules
        self._queues = EndpointQueues(
            store=store,
            sender=sender,
            schedule=Schedule(rules.retry_first_seconds, rules.retry_for_seconds, chance),
            clock=self._clock,
            pause_clock=pause_clock,
            is_held=self._is_held,
            per_endpoint=rules.per_endpoint,
        )
        self._updates = Updates(
            store=store,
            source=source,
            sender=sender,
            clock=self._clock,
            new_id=new_id,
            slots_of=self._queues.slots_of,
            capacity=self._queues.capacity,
            on_idle=self._queues.wake,
        )
        self._feed = Feed(
            store=store,
            source=source,
            sender=sender,
            updates=self._updates,
            queues=self._queues,
            clock=self._clock,
            pause_clock=pause_clock,
        )

    def _is_held(self, prediction_id: str) -> bool:
        return self._updates.is_busy(prediction_id)

    def receive(self, hint: Hint) -> None:
        """Hints from the bus."""
        if type(hint) is MessageWaits:
            self._queues.wake(hint.endpoint)
        else:
            self._feed.receive(hint)

    async def run(self) -> None:
        """Continue where the last process stopped, until cancelled."""
        # before anything is sent, which is not possible until the store accepts this write
        interrupted = await retry_until_accepted(
            lambda: self._store.take_over(_INTERRUPTED, self._pause_clock.now()), self._clock, "webhooks wait"
        )
        if interrupted:
            _log.warning(
                "%d webhook attempts were interrupted when the server stopped: they are sent again", interrupted
            )
        async with asyncio.TaskGroup() as group:
            self._updates.open(group)
            await self._queues.open(group)
            group.create_task(run_forever(self._feed.turn, self._clock, "webhooks wait"))
            for turn, what in ((self._look, "looking for webhooks"), (self._tidy, "pruning the delivery log")):
                group.create_task(run_housekeeping(turn, self._clock, what, self._troubles))

    async def drain(self) -> None:
        """Send ends that have just come, let running attempts end, and begin nothing more.

        The rest is sent after the next start.
        """
        now = self._clock.monotonic()
        await self._until(self._is_quiet, now + _LAST_WORDS_SECONDS)
        self._updates.stop()
        self._queues.stop()
        await self._until(self._is_idle, now + self._rules.total_seconds)

    async def _until(self, is_so: Callable[[], Awaitable[bool]], end: float) -> None:
        while self._clock.monotonic() < end and not await is_so():
            await self._clock.sleep(_DRAIN_LOOK_SECONDS)

    async def _is_quiet(self) -> bool:
        return not await self._feed.is_behind() and not await self._queues.has_due()

    async def _is_idle(self) -> bool:
        return self._queues.is_idle

    async def _look(self) -> None:
        """Find messages whose hint was lost."""
        await self._clock.sleep(POLL_SECONDS)
        await self._queues.look_at_new()

    async def _tidy(self) -> None:
        """Delete old entries of the log."""
        await self._clock.sleep(_TIDY_SECONDS)
        before = self._clock.now() - timedelta(seconds=self._rules.log_seconds)
        while await self._store.forget(before, _FORGET_AT_ONCE) >= _FORGET_AT_ONCE:
            pass
        await self._queues.look()
