"""The operations of the API on webhooks: read the log, send again, get and replace the secret."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from halley.errors import Conflict, NotFound
from halley.ids import NewId
from halley.predictions.hints import Bus, MessageWaits
from halley.predictions.reading import PredictionReader
from halley.webhooks.address import Receivers
from halley.webhooks.events import WebhookEvent
from halley.webhooks.listening import Draw, MessageFilter, MessageListener, Subscription
from halley.webhooks.monotonic_wall_clock import MonotonicWallClock
from halley.webhooks.ports import DeliveryStore
from halley.webhooks.records import Delivery, Message
from halley.webhooks.signing import Rotated, Signer

_NEVER: Final = datetime(9000, 1, 1, tzinfo=UTC)  # no prediction is that new: the position is the newest
_KEPT_WITH: Final = "its body was removed with the data of the prediction, or with old log entries"


class WebhookAdmin:
    """Every method checks the account; data of other accounts is absent."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        signer: Signer,
        receivers: Receivers,
        reader: PredictionReader,
        bus: Bus,
        pause_clock: MonotonicWallClock,
        new_id: NewId,
        overlap_seconds: float,
    ) -> None:
        self._store = store
        self._signer = signer
        self._receivers = receivers
        self._reader = reader
        self._bus = bus
        self._clock = pause_clock.clock
        self._pause_clock = pause_clock
        self._new_id = new_id
        self._overlap_seconds = overlap_seconds

    def fault(self, url: object) -> str | None:
        """Why a create may not use this webhook URL, or None."""
        return self._receivers.fault(url)

    async def secret(self, account_id: str) -> str:
        """The secret with which the account's messages are signed."""
        return await self._signer.secret(account_id)

    async def rotate(self, account_id: str, overlap_seconds: float | None = None) -> Rotated:
        """Replace the secret; the old one is used as well until the overlap ends."""
        return await self._signer.rotate(
            account_id, self._overlap_seconds if overlap_seconds is None else overlap_seconds
        )

    async def page(
        self, account_id: str, *, limit: int, before: str | None = None, prediction_id: str | None = None
    ) -> list[Delivery]:
        """The account's deliveries, newest first."""
        return await self._store.page(account_id, limit=limit, before=before, prediction_id=prediction_id)

    async def delivery(self, delivery_id: str, account_id: str) -> Delivery:
        """One delivery.

        Raises:
            NotFound: absent, or of another account.
        """
        found = await self._store.delivery(delivery_id)
        if found is None or found.account_id != account_id:
            raise NotFound(f"There is no delivery {delivery_id[:64]}, or it was removed.")
        return found

    async def body(self, delivery: Delivery) -> bytes | None:
        """Its request body, if it is stored: only that of the end of a prediction is."""
        message = await self._store.message(delivery.message_id)
        return None if message is None else message.body

    async def resend(self, delivery_id: str, account_id: str) -> Message:
        """Send the message of a delivery again, now, with a new schedule and the same id.

        If an attempt is running, the message is sent once more after it, with any result of that attempt.

        Raises:
            NotFound: absent, or of another account.
            Conflict: it reported an intermediate state, or its body is no longer stored.
        """
        found = await self.delivery(delivery_id, account_id)
        if found.event is not WebhookEvent.COMPLETED:
            raise Conflict(
                f"The delivery {delivery_id} reported an intermediate state ({found.event}) and cannot be sent again."
                " The `completed` message of its prediction can be sent again."
            )
        message = await self._store.resend(found.message_id, self._pause_clock.now())
        if message is None:
            raise Conflict(f"The message {found.message_id} cannot be sent again: {_KEPT_WITH}.")
        self._bus.publish(MessageWaits(message.endpoint))
        return msgspec.structs.replace(message, next_at=self._clock.now())  # the wall-clock time, for the caller

    async def listener(
        self, wanted: MessageFilter, draw: Draw, *, after: int | None = None, created_after: datetime | None = None
    ) -> MessageListener:
        """A listener that gets the messages for the account's receivers.

        It starts after `after`, a position of an earlier listener; otherwise with the first prediction created at that
        time; otherwise now.
        """
        if after is None:
            after = await self._store.position_at(wanted.account_id, created_after or _NEVER)
        return MessageListener(
            Subscription(wanted=wanted, position=after, draw=draw),
            store=self._store,
            reader=self._reader,
            signer=self._signer,
            clock=self._clock,
            new_id=self._new_id,
        )
