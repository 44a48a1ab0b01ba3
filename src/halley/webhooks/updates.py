"""Intermediate states: sent once, in order, never after the end. Source: contract section 11.1, reliability note P6."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import anyio
import msgspec

from halley.clock import Clock
from halley.errors import HalleyError
from halley.ids import NewId
from halley.predictions.records import Prediction
from halley.predictions.status import Status
from halley.slots import Slots
from halley.webhooks.address import read_address
from halley.webhooks.capacity import Capacity
from halley.webhooks.events import WebhookEvent, wanted_by
from halley.webhooks.message_source import MessageSource
from halley.webhooks.pace import Pace
from halley.webhooks.ports import DeliveryStore
from halley.webhooks.records import MESSAGE_PREFIX, DeliveryOutcome
from halley.webhooks.sender import Attempt, Sender

_log: Final = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 10.0  # a state that could not be sent for so long is dropped


class _PendingUpdates:
    """A live prediction, and the messages that must still be sent to its receiver."""

    __slots__ = ("endpoint", "is_busy", "is_over", "pace", "scope", "wanted")

    def __init__(self, row: Prediction | None) -> None:
        self.wanted = frozenset[WebhookEvent]()
        self.endpoint = ""
        if row is not None and row.webhook is not None:
            try:
                self.endpoint = read_address(row.webhook).endpoint
                self.wanted = wanted_by(row)
            except ValueError:
                _log.warning("the webhook of %s is not a URL: an older server accepted it", row.id)
        self.pace = Pace()
        self.is_busy = False
        self.is_over = False
        self.scope: anyio.CancelScope | None = None  # around its waits, so that the end can interrupt them


class Updates:
    """Sends intermediate states. At most one attempt per prediction runs; while `is_busy`, its end must wait."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        source: MessageSource,
        sender: Sender,
        clock: Clock,
        new_id: NewId,
        slots_of: Callable[[str], Slots],
        capacity: Capacity,
        on_idle: Callable[[str], None],
    ) -> None:
        self._store = store
        self._reader = source.reader
        self._pictures = source.pictures
        self._sender = sender
        self._clock = clock
        self._new_id = new_id
        self._slots_of = slots_of
        self._capacity = capacity
        self._on_idle = on_idle
        self._pending: dict[str, _PendingUpdates] = {}
        self._group: asyncio.TaskGroup | None = None
        self.is_stopping = False

    def open(self, group: asyncio.TaskGroup) -> None:
        """Start tasks in this group from now on."""
        self._group = group

    def is_busy(self, prediction_id: str) -> bool:
        """True while an intermediate state is being sent, or must be sent before the end."""
        pending = self._pending.get(prediction_id)
        return pending is not None and pending.is_busy

    async def note(self, prediction_id: str, event: WebhookEvent) -> None:
        """An event has happened; send it if its receiver asked for it, when the pace allows."""
        pending = self._pending.get(prediction_id)
        if pending is None:
            pending = self._pending[prediction_id] = await self._load(prediction_id)
        if event not in pending.wanted or self._group is None or self.is_stopping:
            return
        pending.pace.note(event)
        if not pending.is_busy:
            pending.is_busy = True
            self._group.create_task(self._run(prediction_id, pending))

    async def _load(self, prediction_id: str) -> _PendingUpdates:
        row = await self._reader.find(prediction_id)
        pending = _PendingUpdates(row)
        # an earlier process may have sent its start, and then it must not come again, behind what was sent since;
        # its attempts do not say so: that process may have died before it stored its position in the log
        if WebhookEvent.START in pending.wanted and await self._store.was_told(prediction_id):
            pending.pace.skip_start()
        return pending

    def end(self, prediction_id: str) -> None:
        """It has ended: pending states are dropped, except its start. A running attempt ends first."""
        pending = self._pending.pop(prediction_id, None)
        if pending is None:
            return
        pending.pace.end()
        if pending.is_busy:
            self._pending[prediction_id] = pending  # until its task ends
            pending.is_over = True
            if pending.scope is not None:
                pending.scope.cancel()

    def stop(self) -> None:
        """Begin nothing more."""
        self.is_stopping = True
        for pending in self._pending.values():
            pending.pace.stop()
            if pending.scope is not None:
                pending.scope.cancel()

    async def _run(self, prediction_id: str, pending: _PendingUpdates) -> None:
        try:
            while (seconds := pending.pace.wait_seconds(self._clock.monotonic())) is not None:
                await self._send_due(prediction_id, pending, seconds)
        except Exception as error:  # noqa: BLE001 - an intermediate state is less important than the server
            _log.warning("states of %s: %s", prediction_id, error, exc_info=not isinstance(error, HalleyError))
            pending.pace.stop()
        finally:
            pending.is_busy = False
            if pending.is_over:
                self._pending.pop(prediction_id, None)
            self._on_idle(pending.endpoint)

    async def _send_due(self, prediction_id: str, pending: _PendingUpdates, seconds: float) -> None:
        slots: Slots | None = None
        with anyio.CancelScope() as scope:
            pending.scope = scope
            await self._clock.sleep(seconds)
            with anyio.move_on_after(PATIENCE_SECONDS):
                wanted = self._slots_of(pending.endpoint)
                await wanted.take()
                slots = wanted
        pending.scope = None
        if slots is None:
            if not scope.cancelled_caught:  # otherwise its end came in between: check what must still be sent
                pending.pace.stop()
            return
        try:
            event = pending.pace.take(self._clock.monotonic())
            if event is not None:
                await self._send(prediction_id, pending, event)
        except HalleyError as error:
            _log.warning("a state of %s cannot be reported: %s", prediction_id, error)
        except Exception:  # noqa: BLE001 - a state that cannot be rendered must not end the server
            _log.exception("a state of %s cannot be reported: this is a fault of Halley", prediction_id)
        finally:
            slots.give()

    async def _send(self, prediction_id: str, pending: _PendingUpdates, event: WebhookEvent) -> None:
        row = await self._reader.find(prediction_id)
        if row is None or row.webhook is None or row.data_removed_at is not None:
            return
        if not row.is_terminal:
            row = await self._reader.filled(row)
        elif event is WebhookEvent.START:
            row = as_started(row)
        else:
            return  # its end is sent next, and once
        body = await self._pictures.encoded(row, await self._store.link_base(prediction_id))
        attempt = Attempt(
            account_id=row.account_id,
            prediction_id=row.id,
            message_id=MESSAGE_PREFIX + self._new_id(),
            event=event,
            url=row.webhook or "",
            body=body,
            attempt=1,
        )
        async with self._capacity.hold(pending.endpoint, units_of(body), account=row.account_id):
            ending = await self._sender.send(attempt)
        if ending is not None:
            self._capacity.note(pending.endpoint, ending.latency_seconds)
        if ending is None or ending.outcome is DeliveryOutcome.GONE:
            pending.pace.stop()
            pending.wanted = frozenset()


def as_started(row: Prediction) -> Prediction:
    """The row as it was at its start: a prediction may have ended before its start could be sent."""
    return msgspec.structs.replace(
        row,
        status=Status.PROCESSING,
        output=None,
        files=(),
        logs=row.logs if row.attempts > 1 else "",  # logs of a lost attempt may have been sent
        error=None,
        metrics={},
        completed_at=None,
        termination_reason=None,
        cancel_requested_at=None,
    )


UNIT_BYTES: Final = 2**20


def units_of(body: bytes) -> int:
    """How much of the limit for bodies an attempt uses."""
    return 1 + len(body) // UNIT_BYTES
