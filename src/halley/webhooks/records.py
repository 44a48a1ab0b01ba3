"""Messages and the attempts to deliver them, as values."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from halley.predictions.status import EventKind
from halley.webhooks.events import WebhookEvent


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded fact that may become a webhook message, without its data. `offset` is ordered by commit."""

    offset: int
    prediction_id: str
    kind: EventKind


class MessageState(StrEnum):
    """Whether a message must still be delivered, and if not, why."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # the last attempt of its schedule failed
    GONE = "gone"  # the receiver answered 410: no more messages about this prediction


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A `completed` message, kept until it is delivered.

    `body` is a snapshot, so that a short retention period cannot empty a late delivery. It is None once the data of the
    prediction was removed and no attempt is pending. `failures` counts failed attempts: it is the position in the
    schedule. `sent` counts all attempts that began.
    """

    id: str  # the header `webhook-id`
    account_id: str
    prediction_id: str
    event: WebhookEvent = WebhookEvent.COMPLETED
    url: str
    endpoint: str  # host:port, as `address.read` gives it
    body: bytes | None
    created_at: datetime
    state: MessageState = MessageState.PENDING
    failures: int = 0
    sent: int = 0
    next_at: datetime | None = None  # set while it is pending; by `MonotonicWallClock`


class DeliveryOutcome(StrEnum):
    """How an attempt ended."""

    DELIVERED = "delivered"  # any 2xx
    FAILED = "failed"  # another answer, or none
    GONE = "gone"  # 410
    INTERRUPTED = "interrupted"  # the server ended meanwhile; it is unknown whether the message arrived


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to deliver a message: an entry of the delivery log, written before anything is sent.

    `outcome` is None while it is running. `answer` has the first bytes of the receiver's answer.
    """

    id: str
    account_id: str
    prediction_id: str
    message_id: str
    event: WebhookEvent
    attempt: int  # from 1
    url: str
    headers: Mapping[str, str]  # as sent, credentials masked
    body_sha256: str
    body_bytes: int
    started_at: datetime
    outcome: DeliveryOutcome | None = None
    latency_seconds: float | None = None
    status: int | None = None
    answer: bytes = b""
    error: str | None = None
    next_at: datetime | None = None  # of the next attempt, as planned at the end of this one


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended, as it is logged."""

    outcome: DeliveryOutcome
    latency_seconds: float
    status: int | None = None
    answer: bytes = b""
    error: str | None = None


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a message after an attempt, unless it was sent again meanwhile."""

    message_id: str
    found_at: datetime | None  # its `next_at` before the attempt: it differs after a resend
    state: MessageState
    failures: int
    waits_since: datetime | None = None  # these three while it is PENDING: when its pause began,
    next_at: datetime | None = None  # when it ends,
    told_at: datetime | None = None  # and that time by the wall clock, as it is logged


MESSAGE_PREFIX = "msg_"


def completed_id(prediction_id: str) -> str:
    """The id of a prediction's `completed` message.

    It is derived from the prediction's id, so that every delivery of the end (a retry, a resend, a listener, after a
    restart) has the same id.
    """
    return MESSAGE_PREFIX + prediction_id
