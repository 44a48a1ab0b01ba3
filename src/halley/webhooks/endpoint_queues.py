"""Sends messages through one queue for each endpoint, so that a slow receiver delays no other."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from halley.clock import Clock
from halley.errors import HalleyError
from halley.slots import Slots
from halley.webhooks.capacity import Capacity
from halley.webhooks.monotonic_wall_clock import MonotonicWallClock
from halley.webhooks.ports import DeliveryStore
from halley.webhooks.records import DeliveryOutcome, Ending, Fate, Message, MessageState
from halley.webhooks.schedule import Schedule
from halley.webhooks.sender import Attempt, Sender
from halley.webhooks.updates import units_of
from halley.webhooks.wakeable_sleep import WakeableSleep

_log: Final = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 60.0  # the longest delay after a sleep of the machine
_LATELY: Final = timedelta(seconds=10)  # longer than a poll interval: a commit may come later than its time
_PORTION: Final = 16


class EndpointQueue:
    """The messages to one endpoint. `slots` limits its attempts at once, those of intermediate states included."""

    def __init__(self, lanes: "Lanes", endpoint: str) -> None:
        self._lanes = lanes
        self._endpoint = endpoint
        self.slots = Slots(lanes.per_endpoint)
        self.alarm = WakeableSleep(lanes.clock)
        self.under_way: set[str] = set()
        self.is_running = False

    async def run(self) -> None:
        """Deliver due messages, wait for others, and end when none is left."""
        while not self._lanes.is_stopping:
            # one time for both queries: a message that comes due between them would be missed
            now = self._lanes.steady.now()
            message = await self._next(now)
            if message is not None:
                await self.slots.take(urgent=True)
                self.under_way.add(message.id)
                self._lanes.start(self, message.id)
                continue
            due_at = await self._lanes.store.next_due_at(self._endpoint, now)
            if due_at is None and not self.under_way and not self.alarm.is_rung:
                break  # the next message starts a new one
            await self.alarm.sleep(_LOOK_SECONDS if due_at is None else _seconds(due_at - now))
        self.is_running = False

    async def _next(self, now: datetime) -> Message | None:
        """The first message that may be sent now."""
        limit = _PORTION + len(self.under_way)
        while True:
            found = await self._lanes.store.due(self._endpoint, now, limit)
            for message in found:
                if message.id not in self.under_way and not self._lanes.is_held(message.prediction_id):
                    return message
            if len(found) < limit:
                return None
            limit *= 4


class Lanes:
    """All queues. `is_held` returns whether a prediction's end must wait for earlier messages."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        courier: Sender,
        schedule: Schedule,
        clock: Clock,
        steady: MonotonicWallClock,
        is_held: Callable[[str], bool],
        per_endpoint: int,
    ) -> None:
        self.store = store
        self.clock = clock
        self.steady = steady
        self.is_held = is_held
        self.per_endpoint = per_endpoint
        self.capacity = Capacity()
        self.is_stopping = False
        self._courier = courier
        self._schedule = schedule
        self._lanes: dict[str, EndpointQueue] = {}
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
        for endpoint in await self.store.endpoints_since(self.steady.now() - _LATELY):
            self.wake(endpoint)

    def wake(self, endpoint: str) -> None:
        """A message to this endpoint may be due."""
        lane = self._lane(endpoint)
        lane.alarm.ring()
        if not lane.is_running and self._group is not None and not self.is_stopping:
            lane.is_running = True
            self._group.create_task(self._run(lane, endpoint))

    def slots_of(self, endpoint: str) -> Slots:
        """The limit of attempts at once for this endpoint."""
        return self._lane(endpoint).slots

    def start(self, lane: EndpointQueue, message_id: str) -> None:
        """Make one attempt, in a slot that is already held."""
        if self._group is None:
            raise AssertionError("lanes run inside a group")
        self._group.create_task(self._attempt(lane, message_id))

    def stop(self) -> None:
        """Begin nothing more."""
        self.is_stopping = True
        for lane in self._lanes.values():
            lane.alarm.ring()

    async def has_due(self) -> bool:
        """Whether a due message waits for a slot."""
        now = self.steady.now()
        for endpoint in await self.store.endpoints():
            if await self.store.due(endpoint, now, 1):
                return True
        return False

    @property
    def is_idle(self) -> bool:
        """Whether no attempt is under way."""
        return self.capacity.is_unused

    def _lane(self, endpoint: str) -> EndpointQueue:
        lane = self._lanes.get(endpoint)
        if lane is None:
            lane = self._lanes[endpoint] = EndpointQueue(self, endpoint)
        return lane

    async def _run(self, lane: EndpointQueue, endpoint: str) -> None:
        try:
            await lane.run()
        except Exception as error:  # noqa: BLE001 - a failing queue does not end the others; the next poll restarts it
            _log.warning("messages to %s: %s", endpoint, error, exc_info=not isinstance(error, HalleyError))
            lane.is_running = False
        if not lane.is_running and lane.slots.is_unused:
            self._lanes.pop(endpoint, None)

    async def _attempt(self, lane: EndpointQueue, message_id: str) -> None:
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
            lane.under_way.discard(message_id)
            lane.slots.give()
            lane.alarm.ring()

    async def _send(self, message: Message, body: bytes) -> None:
        parcel = Attempt(
            account_id=message.account_id,
            prediction_id=message.prediction_id,
            message_id=message.id,
            event=message.event,
            url=message.url,
            body=body,
            attempt=message.sent + 1,
        )
        ending = await self._courier.send(parcel, lambda ending, asked: self._fate(message, ending, asked))
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
        now = self.steady.now()
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
