"""Webhooks: messages, the delivery log, generations of secrets. `DeliveryStore` and `SecretStore` in SQL."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from datetime import datetime
from typing import Any, Final, Self, TypeVar

import msgspec

from halley.clock import from_micros, to_micros
from halley.errors import HalleyError
from halley.ids import first_id_at
from halley.predictions.duties import Duty
from halley.store.sqlite.duties import if_on_duty
from halley.store.sqlite.event_rows import EVENTS_OF_ROW, RETURNED, each_event
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.webhook_rows import (
    DELIVERY_COLUMNS,
    MESSAGE_COLUMNS,
    delivery_of,
    message_of,
    message_row,
    micros,
    notice_of,
)
from halley.webhooks.events import TOLD_BY, WebhookEvent
from halley.webhooks.records import Delivery, DeliveryOutcome, Ending, Fate, Message, MessageState, Notice

T = TypeVar("T")

PUT_LINK_BASE: Final = "INSERT INTO webhook_link_bases (prediction_id, link_base) VALUES (?, ?) ON CONFLICT DO NOTHING"

_CURSOR: Final = "webhooks"
TOLD_UP_TO: Final = "SELECT \"offset\" FROM cursors WHERE name = 'webhooks'"
_MOVE: Final = (
    'INSERT INTO cursors (name, "offset") VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET "offset" = max("offset", ?2)'
)
_NOTICES: Final = (
    'SELECT "offset", prediction_id, kind FROM events INDEXED BY events_for_webhooks'
    ' WHERE for_webhook = 1 AND "offset" > ? ORDER BY "offset" LIMIT ?'
)
_KINDS: Final = ", ".join(f"'{kind}'" for kind in (*TOLD_BY, RETURNED))
_OF_ACCOUNT: Final = (  # a row of several events has the offset of the last one
    'SELECT e."offset", e.prediction_id, e.kind FROM events AS e NOT INDEXED CROSS JOIN predictions AS p'
    f' WHERE p.id = e.prediction_id AND e."offset" > ?1 AND e."offset" < ?2 + {EVENTS_OF_ROW} AND e.kind IN ({_KINDS})'
    ' AND p.account_id = ?3 AND (?4 IS NULL OR p.key_id = ?4) ORDER BY e."offset" LIMIT ?5'
)
_LAST_OFFSET: Final = 'SELECT coalesce(max("offset"), 0) FROM events'
_FIRST_SINCE: Final = (
    'SELECT e."offset" - 1 FROM predictions AS p JOIN events AS e ON e.prediction_id = p.id'
    " WHERE p.account_id = ? AND p.id >= ? ORDER BY p.id, e.seq LIMIT 1"
)
_SPAN: Final = 5_000  # events of all accounts that are searched at once

_HEAD: Final = MESSAGE_COLUMNS.format(body="NULL")
_WHOLE: Final = MESSAGE_COLUMNS.format(body="body")
_PUT_MESSAGE: Final = (
    f"INSERT INTO webhook_messages ({_WHOLE}, waits_since)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?11) ON CONFLICT (id) DO NOTHING"
)
_SELECT_MESSAGE: Final = f"SELECT {_WHOLE} FROM webhook_messages WHERE id = ?"
_DUE: Final = (
    f"SELECT {_HEAD} FROM webhook_messages WHERE endpoint = ? AND next_at IS NOT NULL AND next_at <= ?"
    " ORDER BY next_at, number LIMIT ?"
)
_NEXT_DUE: Final = (
    "SELECT min(next_at) FROM webhook_messages WHERE endpoint = ? AND next_at IS NOT NULL AND next_at > ?"
)
# one index step for each endpoint, however many messages it has
_ENDPOINTS: Final = (
    "WITH RECURSIVE found (endpoint) AS (SELECT min(endpoint) FROM webhook_messages WHERE next_at IS NOT NULL"
    " UNION ALL SELECT (SELECT min(endpoint) FROM webhook_messages WHERE next_at IS NOT NULL"
    " AND endpoint > found.endpoint) FROM found WHERE found.endpoint IS NOT NULL)"
    " SELECT endpoint FROM found WHERE endpoint IS NOT NULL"
)
_ENDPOINTS_SINCE: Final = (
    "SELECT DISTINCT endpoint FROM webhook_messages INDEXED BY webhook_messages_waiting"
    " WHERE next_at IS NOT NULL AND waits_since > ?"
)
_RESEND: Final = (
    "UPDATE webhook_messages SET state = 'pending', failures = 0, next_at = ?1, waits_since = ?1"
    " WHERE id = ?2 AND body IS NOT NULL"
)
_BEGIN_PAUSES_ANEW: Final = (
    "UPDATE webhook_messages SET next_at = ?1 + next_at - waits_since, waits_since = ?1"
    " WHERE next_at IS NOT NULL AND waits_since > ?1"
)
_COUNT_SENT: Final = "UPDATE webhook_messages SET sent = sent + 1 WHERE id = ?"
_SETTLE: Final = (
    "UPDATE webhook_messages SET state = ?, failures = ?, next_at = ?, waits_since = ? WHERE id = ? AND next_at IS ?"
)
_ALL_GONE: Final = (
    "UPDATE webhook_messages SET state = 'gone', next_at = NULL WHERE prediction_id = ? AND next_at IS NOT NULL"
)
DROP_SETTLED_BODIES: Final = (
    "UPDATE webhook_messages SET body = NULL WHERE prediction_id = ?1 AND next_at IS NULL AND body IS NOT NULL"
    " AND EXISTS (SELECT 1 FROM predictions WHERE id = ?1 AND data_removed_at IS NOT NULL)"
)

_PUT_DELIVERY: Final = (
    "INSERT INTO webhook_deliveries (id, account_id, prediction_id, message_id, event, attempt, url, headers,"
    " body_sha256, body_bytes, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SELECT_DELIVERY: Final = f"SELECT {DELIVERY_COLUMNS} FROM webhook_deliveries WHERE id = ?"
_WAS_TOLD: Final = "SELECT EXISTS (SELECT 1 FROM webhook_deliveries WHERE prediction_id = ?)"
_IS_GONE: Final = "SELECT EXISTS (SELECT 1 FROM webhook_deliveries WHERE prediction_id = ? AND outcome = 'gone')"
_END: Final = (
    "UPDATE webhook_deliveries SET outcome = ?, latency_seconds = ?, status = ?, answer = ?, error = ?, next_at = ?"
    " WHERE id = ?"
)
_INTERRUPT: Final = "UPDATE webhook_deliveries SET outcome = 'interrupted', error = ? WHERE outcome IS NULL"
_PAGE: Final = (
    f"SELECT {DELIVERY_COLUMNS} FROM webhook_deliveries WHERE account_id = ?1 AND id < coalesce(?2, '~')"
    " ORDER BY id DESC LIMIT ?3"
)
_PAGE_OF_PREDICTION: Final = (
    f"SELECT {DELIVERY_COLUMNS} FROM webhook_deliveries WHERE account_id = ?1 AND id < coalesce(?2, '~')"
    " AND prediction_id = ?4 ORDER BY id DESC LIMIT ?3"
)
_FORGET_DELIVERIES: Final = (
    "DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries WHERE id < ? AND outcome IS NOT NULL"
    " ORDER BY id LIMIT ?)"
)
_FORGET_MESSAGES: Final = (
    "DELETE FROM webhook_messages WHERE number IN (SELECT number FROM webhook_messages WHERE created_at < ?"
    " AND next_at IS NULL ORDER BY created_at LIMIT ?)"
)

_ENDED_GENERATIONS: Final = (
    "SELECT generation, ends_at FROM webhook_secrets WHERE account_id = ? ORDER BY generation DESC"
)
_END_EARLIER: Final = "UPDATE webhook_secrets SET ends_at = min(ends_at, ?) WHERE account_id = ?"
_END_GENERATION: Final = "INSERT INTO webhook_secrets (account_id, generation, ends_at) VALUES (?, ?, ?)"

_encode: Final = msgspec.json.Encoder().encode


class DeliveryRows(SqlitePart):
    """Implements `webhooks.ports.DeliveryStore` and `SecretStore`. A separate part, because its `page` is about
    deliveries.
    """

    duty: Duty | None = None

    def on_duty(self, duty: Duty) -> Self:
        fenced = copy(self)
        fenced.duty = duty
        return fenced

    def _fenced(self, operation: Callable[..., T | HalleyError], *args: Any) -> Awaitable[T]:
        if self.duty is None:
            return self._writer.submit(operation, *args)
        return self._writer.submit(if_on_duty, self._counters, self.duty, operation, args)

    async def position(self) -> int:
        row = self._reads.one(TOLD_UP_TO)
        return 0 if row is None else int(row[0])

    def may_have_notices(self, after: int) -> bool:
        return self._counters.last_told > after

    async def read_notices(self, after: int, limit: int) -> list[Notice]:
        return [notice_of(row) for row in self._reads.all(_NOTICES, after, limit)]

    async def read_account(
        self, account_id: str, after: int, limit: int, key_id: str | None = None
    ) -> tuple[list[Notice], int]:
        return await self._reads.elsewhere(_read_account, account_id, after, limit, key_id)

    async def position_at(self, account_id: str, created_after: datetime) -> int:
        return await self._reads.elsewhere(_position_at, account_id, first_id_at(created_after))

    async def link_base(self, prediction_id: str) -> str | None:
        row = self._reads.one("SELECT link_base FROM webhook_link_bases WHERE prediction_id = ?", prediction_id)
        return None if row is None else row[0]

    def record(self, messages: Sequence[Message], position: int, ended: Sequence[str] = ()) -> Awaitable[None]:
        return self._fenced(_record, tuple(messages), position, tuple(ended))

    async def endpoints(self) -> list[str]:
        return [endpoint for (endpoint,) in self._reads.all(_ENDPOINTS)]

    async def endpoints_since(self, at: datetime) -> list[str]:
        return [endpoint for (endpoint,) in self._reads.all(_ENDPOINTS_SINCE, to_micros(at))]

    async def due(self, endpoint: str, at: datetime, limit: int) -> list[Message]:
        return [message_of(row) for row in self._reads.all(_DUE, endpoint, to_micros(at), limit)]

    async def next_due_at(self, endpoint: str, after: datetime) -> datetime | None:
        (micros,) = self._reads.one(_NEXT_DUE, endpoint, to_micros(after))
        return None if micros is None else from_micros(micros)

    async def message(self, message_id: str) -> Message | None:
        row = self._reads.one(_SELECT_MESSAGE, message_id)
        return None if row is None else message_of(row)

    def resend(self, message_id: str, at: datetime) -> Awaitable[Message | None]:
        return self._writer.submit(_resend, message_id, to_micros(at))

    def begin(self, delivery: Delivery) -> Awaitable[bool]:
        return self._fenced(_begin, delivery)

    def end(self, delivery: Delivery, ending: Ending, fate: Fate | None) -> Awaitable[None]:
        return self._writer.submit(_end, delivery, ending, fate)

    def take_over(self, error: str, at: datetime) -> Awaitable[int]:
        return self._fenced(_take_over, error, to_micros(at))

    async def page(
        self, account_id: str, *, limit: int, before: str | None = None, prediction_id: str | None = None
    ) -> list[Delivery]:
        if prediction_id is None:
            return await self._reads.elsewhere(_read_page, _PAGE, account_id, before, limit)
        return await self._reads.elsewhere(_read_page, _PAGE_OF_PREDICTION, account_id, before, limit, prediction_id)

    async def was_told(self, prediction_id: str) -> bool:
        row = self._reads.one(_WAS_TOLD, prediction_id)
        return row is not None and bool(row[0])

    async def delivery(self, delivery_id: str) -> Delivery | None:
        row = self._reads.one(_SELECT_DELIVERY, delivery_id)
        return None if row is None else delivery_of(row)

    def forget(self, before: datetime, limit: int) -> Awaitable[int]:
        return self._writer.submit(_forget, before, limit)

    async def ended_generations(self, account_id: str) -> list[tuple[int, datetime]]:
        rows = self._reads.all(_ENDED_GENERATIONS, account_id)
        return [(generation, from_micros(ends_at)) for generation, ends_at in rows]

    def rotate(self, account_id: str, generation: int, ends_at: datetime) -> Awaitable[bool]:
        return self._writer.submit(_rotate, account_id, generation, to_micros(ends_at))


def _record(
    connection: sqlite3.Connection, messages: tuple[Message, ...], position: int, ended: tuple[str, ...]
) -> None:
    for message in messages:
        row = message_row(message)
        if connection.execute(_IS_GONE, (message.prediction_id,)).fetchone()[0]:
            row = message_row(msgspec.structs.replace(message, state=MessageState.GONE, next_at=None))
        connection.execute(_PUT_MESSAGE, row)
    connection.executemany(
        "DELETE FROM webhook_link_bases WHERE prediction_id = ?", [(prediction_id,) for prediction_id in ended]
    )
    connection.execute(_MOVE, (_CURSOR, position))


def _read_account(
    connection: sqlite3.Connection, account_id: str, after: int, limit: int, key_id: str | None
) -> tuple[list[Notice], int]:
    (last,) = connection.execute(_LAST_OFFSET).fetchone()
    until = min(last, after + _SPAN)
    rows = connection.execute(_OF_ACCOUNT, (after, until, account_id, key_id, limit))
    told = [notice_of(row) for row in each_event(rows) if after < row[0] <= until]
    found = told[:limit]
    return found, found[-1].offset if len(found) == limit else max(until, after)


def _position_at(connection: sqlite3.Connection, account_id: str, first_id: str) -> int:
    row = connection.execute(_FIRST_SINCE, (account_id, first_id)).fetchone()
    return int((row or connection.execute(_LAST_OFFSET).fetchone())[0])


def _resend(connection: sqlite3.Connection, message_id: str, at: int) -> Message | None:
    if connection.execute(_RESEND, (at, message_id)).rowcount == 0:
        return None
    return message_of(connection.execute(_SELECT_MESSAGE, (message_id,)).fetchone())


def _begin(connection: sqlite3.Connection, delivery: Delivery) -> bool:
    passing = delivery.event is not WebhookEvent.COMPLETED
    if passing and connection.execute(_IS_GONE, (delivery.prediction_id,)).fetchone()[0]:
        return False
    connection.execute(
        _PUT_DELIVERY,
        (
            delivery.id,
            delivery.account_id,
            delivery.prediction_id,
            delivery.message_id,
            delivery.event.value,
            delivery.attempt,
            delivery.url,
            _encode(delivery.headers),
            delivery.body_sha256,
            delivery.body_bytes,
            to_micros(delivery.started_at),
        ),
    )
    connection.execute(_COUNT_SENT, (delivery.message_id,))
    return True


def _end(connection: sqlite3.Connection, delivery: Delivery, ending: Ending, fate: Fate | None) -> None:
    connection.execute(
        _END,
        (
            ending.outcome.value,
            ending.latency_seconds,
            ending.status,
            ending.answer,
            ending.error,
            None if fate is None else micros(fate.told_at),
            delivery.id,
        ),
    )
    if fate is not None:
        times = (micros(fate.next_at), micros(fate.waits_since))
        connection.execute(_SETTLE, (fate.state.value, fate.failures, *times, fate.message_id, micros(fate.found_at)))
    if ending.outcome is DeliveryOutcome.GONE:
        connection.execute(_ALL_GONE, (delivery.prediction_id,))
    if fate is not None and fate.next_at is None:
        connection.execute(DROP_SETTLED_BODIES, (delivery.prediction_id,))


def _take_over(connection: sqlite3.Connection, error: str, at: int) -> int:
    connection.execute(_BEGIN_PAUSES_ANEW, (at,))
    return connection.execute(_INTERRUPT, (error,)).rowcount


def _read_page(connection: sqlite3.Connection, statement: str, *values: Any) -> list[Delivery]:
    return [delivery_of(row) for row in connection.execute(statement, values)]


def _forget(connection: sqlite3.Connection, before: datetime, limit: int) -> int:
    deliveries = connection.execute(_FORGET_DELIVERIES, (first_id_at(before), limit)).rowcount
    messages = connection.execute(_FORGET_MESSAGES, (to_micros(before), limit)).rowcount
    return max(deliveries, messages)


def _rotate(connection: sqlite3.Connection, account_id: str, generation: int, ends_at: int) -> bool:
    newest = connection.execute(_ENDED_GENERATIONS, (account_id,)).fetchone()
    if generation != (newest[0] + 1 if newest else 1):
        return False
    connection.execute(_END_EARLIER, (ends_at, account_id))
    connection.execute(_END_GENERATION, (account_id, generation, ends_at))
    return True
