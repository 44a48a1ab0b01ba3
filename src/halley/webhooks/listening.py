"""The messages of an account for a listener, signed, at the rate at which a receiver would get them.

Nothing is stored about it. It gets messages of predictions with and without a webhook, with the ids that a receiver
would get.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from halley.clock import Clock
from halley.ids import NewId
from halley.predictions.reading import PredictionReader
from halley.predictions.records import Prediction
from halley.webhooks.events import TOLD_BY, WebhookEvent
from halley.webhooks.pace import Pace
from halley.webhooks.ports import DeliveryStore
from halley.webhooks.records import MESSAGE_PREFIX, Notice, completed_id
from halley.webhooks.signing import Signer
from halley.webhooks.updates import as_started

Draw = Callable[[Prediction], Awaitable[bytes]]
"""Returns the prediction's JSON for the listener."""

_NOTICES_AT_ONCE: Final = 200
_COPIES_BYTES: Final = 2**21  # of one batch: further messages come with the next one; a single copy may be larger


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a receiver would get it. Continue listening after `position`."""

    position: int
    id: str
    prediction_id: str
    event: WebhookEvent
    headers: dict[str, str]
    body: bytes


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects messages: of which account or key, and which events."""

    account_id: str
    key_id: str | None  # only of predictions that were created with this key
    events: frozenset[WebhookEvent]


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """The request of a listener: which messages, from which position of the log, and how they are rendered."""

    wanted: MessageFilter
    position: int
    draw: Draw


class MessageListener:
    """A listener, from a position on."""

    def __init__(
        self,
        subscription: Subscription,
        *,
        store: DeliveryStore,
        reader: PredictionReader,
        signer: Signer,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._wanted = subscription.wanted
        self._draw = subscription.draw
        self._store = store
        self._reader = reader
        self._signer = signer
        self._clock = clock
        self._new_id = new_id
        self._paces: dict[str, Pace] = {}
        self.position = subscription.position

    @property
    def due_seconds(self) -> float:
        """When a message will be due without a further change: the pace may then allow an intermediate state."""
        return min((wait for pace in self._paces.values() if (wait := self._wait(pace)) is not None), default=math.inf)

    async def hear(self) -> list[Copy]:
        """The messages that are due now."""
        before = self.position
        copies = await self._found()
        # only the last one has the position: a listener interrupted before it gets the whole batch again
        return [
            msgspec.structs.replace(copy, position=self.position if copy is copies[-1] else before) for copy in copies
        ]

    async def _found(self) -> list[Copy]:
        copies: list[Copy] = []
        while not copies:
            notices, position = await self._store.read_account(
                self._wanted.account_id, self.position, _NOTICES_AT_ONCE, self._wanted.key_id
            )
            moved, self.position = position > self.position, position
            copies += await self._taken(notices)
            if not moved:
                break
        return copies if _are_many(copies) else copies + await self._passing()

    async def _taken(self, notices: Sequence[Notice]) -> list[Copy]:
        copies: list[Copy] = []
        for notice in notices:
            if _are_many(copies):
                self.position = notice.offset - 1  # the next batch starts here
                break
            event = TOLD_BY[notice.kind]
            if event is WebhookEvent.COMPLETED:
                copies += await self._ended(notice.prediction_id)
            elif event in self._wanted.events:
                self._paces.setdefault(notice.prediction_id, Pace()).note(event)
        return copies

    async def _ended(self, prediction_id: str) -> list[Copy]:
        """Its start, if that was not sent yet, and its end, without the states between."""
        copies: list[Copy] = []
        row = await self._reader.find(prediction_id)
        pace = self._paces.pop(prediction_id, None)
        if row is None:
            return copies
        if pace is not None:
            pace.end()
            if not pace.is_idle:
                copies.append(await self._copy(as_started(row), WebhookEvent.START))
        if WebhookEvent.COMPLETED in self._wanted.events:
            copies.append(await self._copy(row, WebhookEvent.COMPLETED))
        return copies

    async def _passing(self) -> list[Copy]:
        copies: list[Copy] = []
        for prediction_id, pace in list(self._paces.items()):
            if self._wait(pace) != 0 or _are_many(copies):
                continue
            row = await self._reader.find(prediction_id)
            if row is None or row.is_terminal:
                continue  # its end is sent next
            event = pace.take(self._clock.monotonic())
            if event is not None:
                copies.append(await self._copy(await self._reader.filled(row), event))
        return copies

    def _wait(self, pace: Pace) -> float | None:
        return pace.wait_seconds(self._clock.monotonic())

    async def _copy(self, row: Prediction, event: WebhookEvent) -> Copy:
        is_end = event is WebhookEvent.COMPLETED
        message_id = completed_id(row.id) if is_end else MESSAGE_PREFIX + self._new_id()
        body = await self._draw(row)
        headers = await self._signer.headers(row.account_id, message_id, body)
        return Copy(
            position=self.position, id=message_id, prediction_id=row.id, event=event, headers=headers, body=body
        )


def _are_many(copies: Sequence[Copy]) -> bool:
    return sum(len(copy.body) for copy in copies) >= _COPIES_BYTES
