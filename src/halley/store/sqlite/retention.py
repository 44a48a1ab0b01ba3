"""Finds predictions with expired data, and removes it: `DataStore` in SQL."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Any, Final

from halley.clock import from_micros, to_micros
from halley.ids import first_id_at
from halley.predictions.lifecycle import NO_INPUT
from halley.predictions.records import Event
from halley.predictions.status import LASTING, EventKind, Source
from halley.retention.ports import DataGroup, OwnerKind, Removed
from halley.store.sqlite.deliveries import DROP_SETTLED_BODIES, TOLD_UP_TO
from halley.store.sqlite.event_rows import EVENT_COLUMNS, INSERT_EVENTS, LASTING_KINDS, RETURNED, event_row, events_in
from halley.store.sqlite.files import drop_references
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.rows import COLUMNS_WITHOUT_DATA

# Worded like the index `predictions_with_data`: otherwise it is not used.
_HAS_DATA: Final = "data_removed_at IS NULL AND completed_at IS NOT NULL"
_KEY: Final = "ifnull(key_id, '')"
# Its end was not sent to its webhook yet: the message, which is a separate copy, must be made first.
_UNTOLD: Final = (
    "(webhook IS NOT NULL AND EXISTS (SELECT 1 FROM events AS e WHERE e.prediction_id = predictions.id"
    f' AND e.for_webhook AND e."offset" > coalesce(({TOLD_UP_TO}), 0)))'
)
# A comparison of all three at once would use the first two of the index only, and walk through all rows of a model.
_NEXT_GROUP: Final = [
    f"SELECT source, model, {_KEY}, completed_at FROM predictions WHERE {_HAS_DATA}"
    f" AND {after} ORDER BY source, model, {_KEY}, completed_at LIMIT 1"
    for after in (f"source = ? AND model = ? AND {_KEY} > ?", "source = ? AND model > ?", "source > ?")
]
_DUE: Final = (
    f"SELECT id FROM predictions WHERE {_HAS_DATA} AND source = ? AND model = ? AND {_KEY} = ? AND completed_at <= ?"
    f" AND NOT {_UNTOLD} ORDER BY completed_at LIMIT ?"
)
_DUE_WITH_FILES: Final = (
    f"SELECT id FROM predictions WHERE {_HAS_DATA} AND source = ? AND model = ? AND {_KEY} = ? AND completed_at <= ?"
    " AND EXISTS (SELECT 1 FROM blob_references WHERE owner_kind = 'prediction' AND owner_id = predictions.id)"
    f" AND NOT {_UNTOLD}"
)
_WITH_DATA: Final = (
    "SELECT number, attempts, last_seq, webhook IS NOT NULL FROM predictions"
    f" WHERE id = ? AND {_HAS_DATA} AND NOT {_UNTOLD}"
)
# As `lifecycle.without_data`, without reading the removed data, which may be 100 MB. The row is deleted and inserted: a
# row that is only made smaller keeps its whole page, because SQLite merges pages at deletions only.
_TAKE_OUT: Final = f"DELETE FROM predictions WHERE number = ? RETURNING number, revision + 1, {COLUMNS_WITHOUT_DATA}"
_PUT_BACK: Final = (
    f"INSERT INTO predictions (number, revision, {COLUMNS_WITHOUT_DATA}, input, data_removed_at, last_seq,"
    f" has_progress) VALUES ({', '.join('?' * (COLUMNS_WITHOUT_DATA.count(',') + 7))})"
)
_FORGET_INPUT: Final = "UPDATE queue SET work_input = NULL, context = NULL WHERE prediction_id = ?"

_HALF_REMOVED: Final = (
    "SELECT number, id FROM predictions INDEXED BY predictions_half_removed"
    " WHERE data_removed_at IS NOT NULL AND has_progress = 1 LIMIT 1"
)
_DELETE_EVENTS: Final = (
    'DELETE FROM events WHERE "offset" IN'
    f' (SELECT "offset" FROM events WHERE prediction_id = ? AND kind NOT IN ({LASTING_KINDS}) ORDER BY seq LIMIT ?)'
)
_TAKE_OUT_RETURNED: Final = (
    f"DELETE FROM events WHERE prediction_id = ? AND kind = '{RETURNED}' RETURNING {EVENT_COLUMNS}"
)
_HAS_NO_MORE: Final = "UPDATE predictions SET has_progress = 0 WHERE number = ?"
_FEW_EVENTS: Final = 64  # so many are deleted in the transaction that removes the rest

_OWNERS: Final = (
    "SELECT DISTINCT owner_id FROM blob_references"
    " WHERE owner_kind = '{kind}' AND owner_id > ?2 AND owner_id <= ?3 AND ({reason}) LIMIT ?4"
)
_END_OF_OWNERS: Final = (
    "SELECT owner_id FROM blob_references WHERE owner_kind = ? AND owner_id > ? ORDER BY owner_id LIMIT 1 OFFSET ?"
)
_PREDICTION: Final = "SELECT 1 FROM predictions WHERE id = owner_id"
_STRAY: Final[dict[str, str]] = {
    kind: _OWNERS.format(kind=kind, reason=reason)
    for kind, reason in {
        "prediction": f"EXISTS ({_PREDICTION} AND data_removed_at IS NOT NULL)",
        "input": f"EXISTS ({_PREDICTION} AND completed_at IS NOT NULL)",
        "file": "owner_id < ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE id = owner_id)",
    }.items()
}
_REFERENCES_AT_ONCE: Final = 2000
_LAST_OWNER: Final = "~"  # after all
_LAST_RECORDED: Final = 'SELECT at FROM events WHERE "offset" = (SELECT max("offset") FROM events)'


class RetentionRows(SqlitePart):
    """Implements `retention.ports.DataStore`, but `get`."""

    async def data_groups(self) -> list[DataGroup]:
        return await self._reads.elsewhere(_data_groups)

    async def due(self, group: DataGroup, completed_by: datetime, limit: int) -> list[str]:
        return await self._reads.elsewhere(_ids, _DUE, *_values(group, completed_by), limit)

    async def due_with_files(self, group: DataGroup, completed_by: datetime) -> list[str]:
        return await self._reads.elsewhere(_ids, _DUE_WITH_FILES, *_values(group, completed_by))

    def remove_data(self, prediction_ids: Sequence[str], at: datetime) -> Awaitable[Removed]:
        return self._writer.submit(_remove_data, self._counters, tuple(prediction_ids), at, committed=self._forget)

    def remove_events(self, limit: int) -> Awaitable[int]:
        return self._writer.submit(_remove_events, limit)

    async def stray_owners(self, owner_kind: OwnerKind, made_before: datetime, limit: int | None) -> list[str]:
        found: list[str] = []
        after = ""
        while limit is None or len(found) < limit:  # others read in between
            most = -1 if limit is None else limit - len(found)
            values = owner_kind, first_id_at(made_before), after, most
            some, end = await self._reads.elsewhere(_strays, *values)
            found += some
            if end is None:
                break
            after = end
        return found

    async def last_recorded_at(self) -> datetime | None:
        row = self._reads.one(_LAST_RECORDED)
        return None if row is None else from_micros(row[0])

    def _forget(self, removed: Removed) -> None:
        for prediction_id in removed.prediction_ids:
            self._recent.forget(prediction_id)


def _data_groups(connection: sqlite3.Connection) -> list[DataGroup]:
    # by index from group to group, not through all rows of a group
    groups: list[DataGroup] = []
    at = ("", "", "")
    while (row := _next_group(connection, at)) is not None:
        source, model, key_id, oldest = row
        at = (source, model, key_id)
        groups.append(
            DataGroup(
                source=Source(source), model=model, key_id=key_id or None, oldest_completed_at=from_micros(oldest)
            )
        )
    return groups


def _next_group(connection: sqlite3.Connection, at: tuple[str, str, str]) -> Any:
    for count, statement in zip((3, 2, 1), _NEXT_GROUP, strict=True):
        row = connection.execute(statement, at[:count]).fetchone()
        if row is not None:
            return row
    return None


def _strays(
    connection: sqlite3.Connection, owner_kind: OwnerKind, made_before: str, after: str, most: int
) -> tuple[list[str], str | None]:
    """At most so many of them, and the last owner that was looked at; None if it was the last of all."""
    ends = connection.execute(_END_OF_OWNERS, (owner_kind, after, _REFERENCES_AT_ONCE - 1)).fetchone()
    end = None if ends is None else str(ends[0])
    found = _ids(connection, _STRAY[owner_kind], made_before, after, _LAST_OWNER if end is None else end, most)
    return found, end


def _values(group: DataGroup, completed_by: datetime) -> tuple[str, str, str, int]:
    return group.source.value, group.model, group.key_id or "", to_micros(completed_by)


def _ids(connection: sqlite3.Connection, statement: str, *values: Any) -> list[str]:
    return [found for (found,) in connection.execute(statement, values)]


def _remove_data(
    connection: sqlite3.Connection, counters: QueueCounters, prediction_ids: Sequence[str], at: datetime
) -> Removed:
    removed: list[str] = []
    freed: dict[str, None] = {}
    has_events_left = False
    for prediction_id in prediction_ids:
        row = connection.execute(_WITH_DATA, (prediction_id,)).fetchone()
        if row is None:
            continue
        number, attempt, last_seq, has_webhook = row
        has_more = last_seq > _FEW_EVENTS
        has_events_left |= has_more
        if not has_more:
            _delete_events(connection, prediction_id, _FEW_EVENTS)
        offset = counters.take_offsets(1, may_be_told=False)
        event = Event(
            prediction_id=prediction_id,
            seq=last_seq + 1,
            attempt=attempt,
            kind=EventKind.DATA_REMOVED,
            at=at,
            offset=offset,
        )
        INSERT_EVENTS.insert(connection, [event_row(event)])
        kept = connection.execute(_TAKE_OUT, (number,)).fetchone()
        connection.execute(_PUT_BACK, (*kept, NO_INPUT, to_micros(at), last_seq + 1, has_more))
        if has_webhook:
            connection.execute(DROP_SETTLED_BODIES, (prediction_id,))
        # it exists if the holder of a canceled one has not finished
        connection.execute(_FORGET_INPUT, (prediction_id,))
        freed.update(dict.fromkeys(drop_references(connection, "prediction", prediction_id)))
        removed.append(prediction_id)
    return Removed(prediction_ids=tuple(removed), freed=tuple(freed), has_events_left=has_events_left)


def _remove_events(connection: sqlite3.Connection, limit: int) -> int:
    row = connection.execute(_HALF_REMOVED).fetchone()
    if row is None:
        return 0
    number, prediction_id = row
    deleted = _delete_events(connection, prediction_id, limit)
    if deleted < limit:
        connection.execute(_HAS_NO_MORE, (number,))
    return max(deleted, 1)  # there may be others


def _delete_events(connection: sqlite3.Connection, prediction_id: str, limit: int) -> int:
    """Delete so many events with data; those of a RETURNED row that stay get rows of their own."""
    returned = connection.execute(_TAKE_OUT_RETURNED, (prediction_id,)).fetchall()
    INSERT_EVENTS.insert(connection, [event_row(event) for event in events_in(returned) if event.kind in LASTING])
    return connection.execute(_DELETE_EVENTS, (prediction_id, limit)).rowcount + len(returned)
