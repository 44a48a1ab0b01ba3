"""Reads the event log from a position on, and makes messages of it.

A `completed` message, its body and the position after it are committed together: after a crash before the commit the
fact is read again, after a crash behind it the message is found. Hints only make it read sooner.
"""

import logging
from collections.abc import Sequence
from typing import Final

from halley.clock import Clock
from halley.errors import HalleyError
from halley.predictions.hints import Changed, Hint
from halley.wakeable_sleep import WakeableSleep
from halley.webhooks.address import read_address
from halley.webhooks.endpoint_queues import EndpointQueues
from halley.webhooks.events import TOLD_BY, WebhookEvent, wanted_by
from halley.webhooks.message_source import MessageSource
from halley.webhooks.monotonic_wall_clock import MonotonicWallClock
from halley.webhooks.ports import DeliveryStore
from halley.webhooks.records import Message, Notice, completed_id
from halley.webhooks.sender import Sender
from halley.webhooks.updates import Updates

_log: Final = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0  # a lost hint costs at most this
PACE_SECONDS: Final = 0.02  # between two polls: a busy server makes at most fifty polls a second
_NOTICES_AT_ONCE: Final = 500
_BODIES_AT_ONCE: Final = 8 * 2**20  # then they are stored, before more are made


class Feed:
    """The only reader of the log for webhooks."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        source: MessageSource,
        sender: Sender,
        updates: Updates,
        queues: EndpointQueues,
        clock: Clock,
        pause_clock: MonotonicWallClock,
    ) -> None:
        self._store = store
        self._reader = source.reader
        self._pictures = source.pictures
        self._sender = sender
        self._updates = updates
        self._queues = queues
        self._clock = clock
        self._pause_clock = pause_clock
        self._alarm = WakeableSleep(clock)
        self._position: int | None = None  # not read yet

    def receive(self, hint: Hint) -> None:
        """Hints from the bus."""
        # without an answer from memory, each change of any prediction would cost a read
        if type(hint) is Changed and (self._position is None or self._store.may_have_notices(self._position)):
            self._alarm.ring()

    async def turn(self) -> None:
        """Read on, or wait until there may be new facts."""
        if self._position is None:
            self._position = await self._store.position()
        notices = await self._store.read_notices(self._position, _NOTICES_AT_ONCE)
        if notices:
            self._position = await self._take(notices)
        else:
            await self._alarm.sleep(POLL_SECONDS)
            await self._clock.sleep(PACE_SECONDS)

    async def is_behind(self) -> bool:
        """Whether there are recorded facts that were not read yet."""
        return bool(await self._store.read_notices(self._position or 0, 1))

    async def _take(self, notices: Sequence[Notice]) -> int:
        messages: list[Message] = []
        ended: list[str] = []
        size = 0
        position = 0
        over = {notice.prediction_id for notice in notices if TOLD_BY.get(notice.kind) is WebhookEvent.COMPLETED}
        for notice in notices:
            position = notice.offset
            event = TOLD_BY.get(notice.kind)
            if event is WebhookEvent.COMPLETED:
                # before the message is stored: no intermediate state may be sent after it
                self._updates.end(notice.prediction_id)
                ended.append(notice.prediction_id)
                message = await self._completed(notice.prediction_id)
                if message is not None and message.body is not None:
                    messages.append(message)
                    size += len(message.body)
                if size > _BODIES_AT_ONCE:
                    break
            elif event is not None and (event is WebhookEvent.START or notice.prediction_id not in over):
                await self._updates.note(notice.prediction_id, event)
        await self._sender.retry_until_accepted(lambda: self._store.record(messages, position, ended))
        for endpoint in dict.fromkeys(message.endpoint for message in messages):
            self._queues.wake(endpoint)
        return position

    async def _completed(self, prediction_id: str) -> Message | None:
        try:
            return await self._made(prediction_id)
        except HalleyError:
            raise
        except Exception:  # noqa: BLE001 - one that cannot be rendered must not block all others, again at every start
            _log.exception("the end of %s cannot be reported: this is a fault of Halley", prediction_id)
            return None

    async def _made(self, prediction_id: str) -> Message | None:
        row = await self._reader.find(prediction_id)
        if row is None or row.webhook is None or WebhookEvent.COMPLETED not in wanted_by(row):
            return None
        return Message(
            id=completed_id(row.id),
            account_id=row.account_id,
            prediction_id=row.id,
            url=row.webhook,
            endpoint=read_address(row.webhook).endpoint,
            body=await self._pictures.encoded(row, await self._store.link_base(row.id)),
            created_at=self._clock.now(),
            next_at=self._pause_clock.now(),
        )
