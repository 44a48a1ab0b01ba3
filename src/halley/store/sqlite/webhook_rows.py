"""Between records of webhooks and their rows: the one place that knows in which column a member is."""

from datetime import datetime
from typing import Any, Final

import msgspec

from halley.clock import from_micros, to_micros
from halley.predictions.status import EventKind
from halley.webhooks.events import WebhookEvent
from halley.webhooks.records import Delivery, DeliveryOutcome, Message, MessageState, Notice

MESSAGE_COLUMNS: Final = (
    "id, account_id, prediction_id, event, url, endpoint, created_at, state, failures, sent, next_at, {body}"
)
DELIVERY_COLUMNS: Final = (
    "id, account_id, prediction_id, message_id, event, attempt, url, headers, body_sha256, body_bytes, started_at,"
    " outcome, latency_seconds, status, answer, error, next_at"
)
_decode_headers: Final = msgspec.json.Decoder(dict[str, str]).decode


def notice_of(row: Any) -> Notice:
    return Notice(offset=row[0], prediction_id=row[1], kind=EventKind(row[2]))


def message_row(message: Message) -> tuple[Any, ...]:
    return (
        message.id,
        message.account_id,
        message.prediction_id,
        message.event.value,
        message.url,
        message.endpoint,
        to_micros(message.created_at),
        message.state.value,
        message.failures,
        message.sent,
        micros(message.next_at),
        message.body,
    )


def message_of(row: Any) -> Message:
    return Message(
        id=row[0],
        account_id=row[1],
        prediction_id=row[2],
        event=WebhookEvent(row[3]),
        url=row[4],
        endpoint=row[5],
        created_at=from_micros(row[6]),
        state=MessageState(row[7]),
        failures=row[8],
        sent=row[9],
        next_at=None if row[10] is None else from_micros(row[10]),
        body=row[11],
    )


def micros(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)


def delivery_of(row: Any) -> Delivery:
    return Delivery(
        id=row[0],
        account_id=row[1],
        prediction_id=row[2],
        message_id=row[3],
        event=WebhookEvent(row[4]),
        attempt=row[5],
        url=row[6],
        headers=_decode_headers(row[7]),
        body_sha256=row[8],
        body_bytes=row[9],
        started_at=from_micros(row[10]),
        outcome=None if row[11] is None else DeliveryOutcome(row[11]),
        latency_seconds=row[12],
        status=row[13],
        answer=row[14],
        error=row[15],
        next_at=None if row[16] is None else from_micros(row[16]),
    )
