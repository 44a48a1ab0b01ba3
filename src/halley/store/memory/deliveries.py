"""Webhooks in dictionaries: messages, the delivery log, generations of secrets."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, cast

import msgspec

from halley.errors import DutyLost
from halley.ids import first_id_at
from halley.predictions.duties import Duty
from halley.predictions.records import Event
from halley.store.memory.entries import Entry, at_once
from halley.webhooks.events import TOLD_BY, WebhookEvent
from halley.webhooks.records import Delivery, DeliveryOutcome, Ending, Fate, Message, MessageState, Notice

_FENCED: Final = frozenset({"record", "begin", "take_over"})


class MemoryDeliveries:
    """Implements `webhooks.ports.DeliveryStore` and `SecretStore`, next to the predictions concerned."""

    def __init__(
        self,
        entries: Mapping[str, Entry],
        log: Sequence[Event],
        duties: Mapping[str, tuple[Duty, datetime | None]],
    ) -> None:
        self._duties = duties
        self._entries = entries
        self._log = log
        self._position = 0
        self.link_bases: dict[str, str] = {}
        self.messages: dict[str, Message] = {}
        self._waits_since: dict[str, datetime | None] = {}  # if it differs from `next_at`
        self.deliveries: dict[str, Delivery] = {}
        self._ended: dict[str, dict[int, datetime]] = {}

    def on_duty(self, duty: Duty) -> "MemoryDeliveries":
        return cast("MemoryDeliveries", _OnDuty(self, self._duties, duty))

    async def position(self) -> int:
        return self._position

    def may_have_notices(self, after: int) -> bool:
        return any(self._entries[event.prediction_id].prediction.has_webhook for event in self._told(after))

    async def read_notices(self, after: int, limit: int) -> list[Notice]:
        found = [event for event in self._told(after) if self._entries[event.prediction_id].prediction.has_webhook]
        return [_notice(event) for event in found[:limit]]

    async def read_account(
        self, account_id: str, after: int, limit: int, key_id: str | None = None
    ) -> tuple[list[Notice], int]:
        def is_wanted(event: Event) -> bool:
            row = self._entries[event.prediction_id].prediction
            return row.account_id == account_id and key_id in (None, row.key_id)

        found = [_notice(event) for event in self._told(after) if is_wanted(event)]
        if len(found) >= limit:
            return found[:limit], found[limit - 1].offset
        return found, max(after, self._last_offset)

    async def position_at(self, account_id: str, created_after: datetime) -> int:
        first = first_id_at(created_after)
        for event in self._log:
            row = self._entries[event.prediction_id].prediction
            if row.account_id == account_id and row.id >= first:
                return event.offset - 1
        return self._last_offset

    @property
    def _last_offset(self) -> int:
        return self._log[-1].offset if self._log else 0

    async def link_base(self, prediction_id: str) -> str | None:
        return self.link_bases.get(prediction_id)

    @at_once
    def record(self, messages: Sequence[Message], position: int, ended: Sequence[str] = ()) -> None:
        for message in messages:
            if self._is_gone(message.prediction_id):
                message = msgspec.structs.replace(message, state=MessageState.GONE, next_at=None)  # noqa: PLW2901
            self.messages.setdefault(message.id, message)
        for prediction_id in ended:
            self.link_bases.pop(prediction_id, None)
        self._position = max(self._position, position)

    async def endpoints(self) -> list[str]:
        return sorted({message.endpoint for message in self.messages.values() if message.next_at is not None})

    async def endpoints_since(self, at: datetime) -> list[str]:
        waiting = [message for message in self.messages.values() if message.next_at is not None]
        begun = [(message.endpoint, self._waits_since.get(message.id) or message.next_at) for message in waiting]
        return sorted({endpoint for endpoint, since in begun if since is not None and since > at})

    async def due(self, endpoint: str, at: datetime, limit: int) -> list[Message]:
        found = [
            (message.next_at, number, msgspec.structs.replace(message, body=None))
            for number, message in enumerate(self.messages.values())
            if message.endpoint == endpoint and message.next_at is not None and message.next_at <= at
        ]
        return [message for _, _, message in sorted(found, key=lambda item: item[:2])[:limit]]

    async def next_due_at(self, endpoint: str, after: datetime) -> datetime | None:
        times = [message.next_at for message in self.messages.values() if message.endpoint == endpoint]
        return min((time for time in times if time is not None and time > after), default=None)

    async def message(self, message_id: str) -> Message | None:
        return self.messages.get(message_id)

    @at_once
    def resend(self, message_id: str, at: datetime) -> Message | None:
        message = self.messages.get(message_id)
        if message is None or message.body is None:
            return None
        self._waits_since.pop(message_id, None)
        return self._change(message, state=MessageState.PENDING, failures=0, next_at=at)

    @at_once
    def begin(self, delivery: Delivery) -> bool:
        if delivery.event is not WebhookEvent.COMPLETED and self._is_gone(delivery.prediction_id):
            return False
        self.deliveries[delivery.id] = delivery
        if (message := self.messages.get(delivery.message_id)) is not None:
            self._change(message, sent=message.sent + 1)
        return True

    @at_once
    def end(self, delivery: Delivery, ending: Ending, fate: Fate | None) -> None:
        known = self.deliveries[delivery.id]
        ended = msgspec.structs.asdict(ending) | {"next_at": None if fate is None else fate.told_at}
        self.deliveries[delivery.id] = msgspec.structs.replace(known, **ended)
        message = None if fate is None else self.messages.get(fate.message_id)
        if fate is not None and message is not None and message.next_at == fate.found_at:
            self._change(message, state=fate.state, failures=fate.failures, next_at=fate.next_at)
            self._waits_since[message.id] = fate.waits_since
        for message in list(self.messages.values()):
            if message.prediction_id != delivery.prediction_id:
                continue
            if ending.outcome is DeliveryOutcome.GONE and message.next_at is not None:
                message = self._change(message, state=MessageState.GONE, next_at=None)  # noqa: PLW2901
        self.drop_settled_bodies(delivery.prediction_id)

    def drop_settled_bodies(self, prediction_id: str) -> None:
        """Delete the bodies of messages that are not pending, if the prediction's data was removed."""
        entry = self._entries.get(prediction_id)
        if entry is None or entry.prediction.data_removed_at is None:
            return
        for message in list(self.messages.values()):
            if message.prediction_id == prediction_id and message.next_at is None:
                self._change(message, body=None)

    def is_untold(self, prediction_id: str) -> bool:
        """Whether the log contains events about it that webhooks have not read yet."""
        if not self._entries[prediction_id].prediction.has_webhook:
            return False
        return any(event.prediction_id == prediction_id for event in self._told(self._position))

    @at_once
    def take_over(self, error: str, at: datetime) -> int:
        under_way = [delivery for delivery in self.deliveries.values() if delivery.outcome is None]
        for delivery in under_way:
            self.deliveries[delivery.id] = msgspec.structs.replace(
                delivery, outcome=DeliveryOutcome.INTERRUPTED, error=error
            )
        for message in list(self.messages.values()):
            since = self._waits_since.get(message.id) or message.next_at
            if message.next_at is not None and since is not None and since > at:
                self._change(message, next_at=at + (message.next_at - since))
                self._waits_since[message.id] = at
        return len(under_way)

    async def page(
        self, account_id: str, *, limit: int, before: str | None = None, prediction_id: str | None = None
    ) -> list[Delivery]:
        found = [
            delivery
            for delivery in self.deliveries.values()
            if delivery.account_id == account_id
            and (before is None or delivery.id < before)
            and prediction_id in (None, delivery.prediction_id)
        ]
        return sorted(found, key=lambda delivery: delivery.id, reverse=True)[:limit]

    async def was_told(self, prediction_id: str) -> bool:
        return any(each.prediction_id == prediction_id for each in self.deliveries.values())

    async def delivery(self, delivery_id: str) -> Delivery | None:
        return self.deliveries.get(delivery_id)

    @at_once
    def forget(self, before: datetime, limit: int) -> int:
        bound = first_id_at(before)
        old = sorted(each.id for each in self.deliveries.values() if each.id < bound and each.outcome is not None)
        for delivery_id in old[:limit]:
            del self.deliveries[delivery_id]
        settled = [each.id for each in self.messages.values() if each.created_at < before and each.next_at is None]
        for message_id in settled[:limit]:
            del self.messages[message_id]
            self._waits_since.pop(message_id, None)
        return max(len(old[:limit]), len(settled[:limit]))

    async def ended_generations(self, account_id: str) -> list[tuple[int, datetime]]:
        return sorted(self._ended.get(account_id, {}).items(), reverse=True)

    @at_once
    def rotate(self, account_id: str, generation: int, ends_at: datetime) -> bool:
        ended = self._ended.setdefault(account_id, {})
        if generation != max(ended, default=0) + 1:
            return False
        for number, time in ended.items():
            ended[number] = min(time, ends_at)
        ended[generation] = ends_at
        return True

    def _told(self, after: int) -> list[Event]:
        return [event for event in self._log if event.offset > after and event.kind in TOLD_BY]

    def _is_gone(self, prediction_id: str) -> bool:
        return any(
            each.outcome is DeliveryOutcome.GONE
            for each in self.deliveries.values()
            if each.prediction_id == prediction_id
        )

    def _change(self, message: Message, **changes: object) -> Message:
        changed = self.messages[message.id] = msgspec.structs.replace(message, **changes)
        return changed


class _OnDuty:
    """The same deliveries, for the holder of the duty."""

    def __init__(
        self, deliveries: MemoryDeliveries, duties: Mapping[str, tuple[Duty, datetime | None]], duty: Duty
    ) -> None:
        self._deliveries = deliveries
        self._duties = duties
        self._duty = duty

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._deliveries, name)
        return method if name not in _FENCED else partial(self._write, method)

    async def _write(self, method: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        held, until = self._duties.get(self._duty.name, (None, None))
        if held != self._duty or until is None:
            raise DutyLost(f"Session {self._duty.session_id} with fence {self._duty.fence} has lost its duty.")
        return await method(*args)


def _notice(event: Event) -> Notice:
    return Notice(offset=event.offset, prediction_id=event.prediction_id, kind=event.kind)
