"""Sends messages through one queue for each endpoint, so that a slow receiver delays no other."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from halley.clock import Clock
from halley.errors import HalleyError
from halley.slots import Slots
from halley.wakeable_sleep import WakeableSleep
from halley.webhooks.capacity import Capacity
from halley.webhooks.monotonic_wall_clock import MonotonicWallClock
from halley.webhooks.ports import DeliveryStore
from halley.webhooks.records import DeliveryOutcome, Ending, Fate, Message, MessageState
from halley.webhooks.schedule import Schedule
from halley.webhooks.sender import Attempt, Sender
from halley.webhooks.updates import units_of

_log: Final = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 60.0  # the longest delay after a sleep of the machine
_LATELY: Final = timedelta(seconds=10)  # longer than a poll interval: a commit may come later than its time
_PORTION: Final = 16


class EndpointQueue:
    """The messages to one endpoint. `slots` limits its attempts at once, those of intermediate states included."""

    def __init__(self, queues: "EndpointQueues", endpoint: str) -> None:
        self._queues = queues
        self._endpoint = endpoint
        self.slots = Slots(queues.per_endpoint)
        self.sleeper = WakeableSleep(queues.clock)
        self.under_way: set[str] = set()
        self.is_running = False

    async def run(self) -> None:
        """Deliver due messages, wait for others, and end when none is left."""
        while not self._queues.is_stopping:
            # one time for both queries: a message that comes due between them would be missed
            now = self._queues.pause_clock.now()
            message = await self._next(now)
            if message is not None:
                await self.slots.take(urgent=True)
                self.under_way.add(message.id)
                self._queues.start(self, message.id)
                continue
            due_at = await self._queues.store.next_due_at(self._endpoint, now)
            if due_at is None and not self.under_way and not self.sleeper.is_rung:
                break  # the next message starts a new one
            await self.sleeper.sleep(_LOOK_SECONDS if due_at is None else _seconds(due_at - now))
        self.is_running = False

    async def _next(self, now: datetime) -> Message | None:
        """The first message that may be sent now."""
        limit = _PORTION + len(self.under_way)
        while True:
            found = await self._queues.store.due(self._endpoint, now, limit)
            for message in found:
                if message.id not in self.under_way and not self._queues.is_held(message.prediction_id):
                    return message
            if len(found) < limit:
                return None
            limit *= 4


class EndpointQueues:
    """All queues. `is_held` returns whether a prediction's end must wait for earlier messages."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        sender: Sender,
        schedule: Schedule,
        clock: Clock,
        pause_clock: MonotonicWallClock,
        is_held: Callable[[str], bool],
        per_endpoint: int,
    ) -> None:
        self.store = store
        self.clock = clock
        self.pause_clock = pause_clock
        self.is_held = is_held
        self.per_endpoint = per_endpoint
        self.capacity = Capacity()
        self.is_stopping = False
        self._sender = sender
        self._schedule = schedule
        self._queues: dict[str, EndpointQueue] = {}
        self._group: asyncio.TaskGroup | None = None

    async def open(self, group: asyncio.TaskGroup) -> None:
        """Begin with the messages that an earlier process left."""
        self._group = group
        await self.look()

    async def look(self) -> None:
        """Wake the queue of every pending message."""
        for endpoint in await self.store.endpoints():
            self.wake(endpoint)

    async def look_at_new(self) -> None:
        """Wake the queue of every message whose wait began recently: the hint about it may have been lost."""
        for endpoint in await self.store.endpoints_since(self.pause_clock.now() - _LATELY):
            self.wake(endpoint)

    def wake(self, endpoint: str) -> None:
        """A message to this endpoint may be due."""
        queue = self._queue(endpoint)
        queue.sleeper.ring()
        if not queue.is_running and self._group is not None and not self.is_stopping:
            queue.is_running = True
            self._group.create_task(self._run(queue, endpoint))

    def slots_of(self, endpoint: str) -> Slots:
        """The limit of attempts at once for this endpoint."""
        return self._queue(endpoint).slots

    def start(self, queue: EndpointQueue, message_id: str) -> None:
        """Make one attempt, in a slot that is already held."""
        if self._group is None:
            raise AssertionError("queues run inside a group")
        self._group.create_task(self._attempt(queue, message_id))

    def stop(self) -> None:
        """Begin nothing more."""
        self.is_stopping = True
        for queue in self._queues.values():
            queue.sleeper.ring()

    async def has_due(self) -> bool:
        """Whether a due message waits for a slot."""
        now = self.pause_clock.now()
        for endpoint in await self.store.endpoints():
            if await self.store.due(endpoint, now, 1):
                return True
        return False

    @property
    def is_idle(self) -> bool:
        """Whether no attempt is under way."""
        return self.capacity.is_unused

    def _queue(self, endpoint: str) -> EndpointQueue:
        queue = self._queues.get(endpoint)
        if queue is None:
            queue = self._queues[endpoint] = EndpointQueue(self, endpoint)
        return queue

    async def _run(self, queue: EndpointQueue, endpoint: str) -> None:
        try:
            await queue.run()
        except Exception as error:  # noqa: BLE001 - a failing queue does not end the others; the next poll restarts it
            _log.warning("messages to %s: %s", endpoint, error, exc_info=not isinstance(error, HalleyError))
            queue.is_running = False
        if not queue.is_running and queue.slots.is_unused:
            self._queues.pop(endpoint, None)

    async def _attempt(self, queue: EndpointQueue, message_id: str) -> None:
        try:
            message = await self.store.message(message_id)
            if message is not None and message.body is not None and message.state is MessageState.PENDING:
                async with self.capacity.hold(message.endpoint, units_of(message.body), account=message.account_id):
                    if not self.is_stopping:
                        await self._send(message, message.body)
        except Exception as error:  # noqa: BLE001 - a message that cannot be sent must not end the server, now and at each start
            _log.warning("message %s: %s", message_id, error, exc_info=not isinstance(error, HalleyError))
            await self.clock.sleep(_LOOK_SECONDS)  # the message is still due
        finally:
            queue.under_way.discard(message_id)
            queue.slots.give()
            queue.sleeper.ring()

    async def _send(self, message: Message, body: bytes) -> None:
        attempt = Attempt(
            account_id=message.account_id,
            prediction_id=message.prediction_id,
            message_id=message.id,
            event=message.event,
            url=message.url,
            body=body,
            attempt=message.sent + 1,
        )
        ending = await self._sender.send(attempt, lambda ending, asked: self._fate(message, ending, asked))
        if ending is not None:
            self.capacity.note(message.endpoint, ending.latency_seconds)

    def _fate(self, message: Message, ending: Ending, asked_seconds: float) -> Fate:
        if ending.outcome is DeliveryOutcome.DELIVERED:
            return _settled(message, MessageState.DELIVERED, message.failures)
        failures = message.failures + 1
        if ending.outcome is DeliveryOutcome.GONE:
            return _settled(message, MessageState.GONE, failures)
        pause = self._schedule.pause(failures, at_least=asked_seconds)
        if pause is None:
            return _settled(message, MessageState.FAILED, failures)
        now = self.pause_clock.now()
        return Fate(
            message_id=message.id,
            found_at=message.next_at,
            state=MessageState.PENDING,
            failures=failures,
            waits_since=now,
            next_at=now + timedelta(seconds=pause),
            told_at=self.clock.now() + timedelta(seconds=pause),
        )


def _settled(message: Message, state: MessageState, failures: int) -> Fate:
    return Fate(message_id=message.id, found_at=message.next_at, state=state, failures=failures)


def _seconds(pause: timedelta) -> float:
    return min(max(pause.total_seconds(), 0.001), _LOOK_SECONDS)
