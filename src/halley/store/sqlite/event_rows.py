"""Events and their rows. The last three events of a run that only returns are one row.

Most predictions end so: STARTED, the output, FINISHED. Their row has the kind RETURNED, which no reader sees: the seq
and the offset are those of the last one, `at` is the time of the last two, `started_at` that of the first, and `data`
is the output's. It takes a third of the entries and bytes of three rows.
"""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from halley.clock import from_micros, to_micros
from halley.predictions.records import Event, Finish, NewEvent, Prediction
from halley.predictions.status import LASTING, EventKind, Status
from halley.store.sqlite.many_rows import ManyRows
from halley.webhooks.events import TOLD_BY

Row = Sequence[Any]

RETURNED: Final = "returned"
EVENTS_OF_ROW: Final = 3  # of that kind
LASTING_KINDS: Final = ", ".join(f"'{kind}'" for kind in sorted(LASTING))
INSERT_EVENT: Final = (
    'INSERT INTO events ("offset", prediction_id, seq, attempt, kind, at, data, for_webhook, started_at)'
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_EVENTS: Final = ManyRows(*INSERT_EVENT.split(" VALUES "))
EVENT_COLUMNS: Final = 'prediction_id, seq, attempt, kind, at, data, "offset", started_at'
SELECT_EVENTS: Final = f"SELECT {EVENT_COLUMNS} FROM events WHERE prediction_id = ? AND seq > ? ORDER BY seq LIMIT ?"
SELECT_LASTING: Final = SELECT_EVENTS.replace("ORDER BY", f"AND kind IN ({LASTING_KINDS}, '{RETURNED}') ORDER BY")

SUCCEEDED_DATA: Final = msgspec.json.encode(Finish(status=Status.SUCCEEDED))
MOST_JOINED_BYTES: Final = 4096  # a larger output takes pages of its own
_KIND: Final = {str(word): word for word in EventKind}
_TOLD_BY_NONE: Final[frozenset[EventKind]] = frozenset()
_STARTED: Final = EventKind.STARTED  # reading a member from its class takes three times as long
_OUTPUT_SET: Final = EventKind.OUTPUT_SET
_FINISHED: Final = EventKind.FINISHED


def event_rows(
    prediction: Prediction, events: Sequence[NewEvent], *, attempt: int, first_seq: int, first_offset: int
) -> list[Row]:
    """The values of INSERT_EVENT for consecutive events."""
    if only_returns(prediction, events):
        return [_returned_row(prediction.id, events, attempt, first_seq, first_offset)]
    prediction_id, told_by = prediction.id, TOLD_BY if prediction.has_webhook else _TOLD_BY_NONE
    return [
        (
            first_offset + n,
            prediction_id,
            first_seq + n,
            attempt,
            event.kind._value_,
            to_micros(event.at),
            event.data,
            1 if event.kind in told_by else 0,
            None,
        )
        for n, event in enumerate(events)
    ]


def only_returns(prediction: Prediction, events: Sequence[NewEvent]) -> bool:
    """Whether the events are those of a RETURNED row."""
    if len(events) != 3 or prediction.webhook is not None:
        return False
    first, second, last = events
    return (
        (first.kind is _STARTED and second.kind is _OUTPUT_SET and last.kind is _FINISHED)
        and (second.at == last.at and not first.data and last.data == SUCCEEDED_DATA)
        and len(second.data) <= MOST_JOINED_BYTES
    )


def _returned_row(
    prediction_id: str, events: Sequence[NewEvent], attempt: int, first_seq: int, first_offset: int
) -> Row:
    started, output, finished = events
    at, started_at = to_micros(finished.at), to_micros(started.at)
    return first_offset + 2, prediction_id, first_seq + 2, attempt, RETURNED, at, output.data, 0, started_at


def event_row(event: Event) -> Row:
    """The values of INSERT_EVENT for an event that no webhook waits for."""
    at = to_micros(event.at)
    return event.offset, event.prediction_id, event.seq, event.attempt, event.kind._value_, at, event.data, 0, None


def events_in(rows: Iterable[Row]) -> Iterator[Event]:
    """The records of rows of EVENT_COLUMNS, in order."""
    for row in rows:
        if row[3] == RETURNED:
            yield from _read_returned(row)
        else:
            yield _read_event(row)


def each_event(rows: Iterable[tuple[int, str, str]]) -> Iterator[tuple[int, str, str]]:
    """Offset, prediction and kind of each event in these rows, in order."""
    for offset, prediction_id, kind in rows:
        if kind == RETURNED:
            yield from (
                (offset - 2, prediction_id, _STARTED),
                (offset - 1, prediction_id, _OUTPUT_SET),
                (offset, prediction_id, _FINISHED),
            )
        else:
            yield offset, prediction_id, kind


def _read_event(row: Row) -> Event:
    return Event(
        prediction_id=row[0],
        seq=row[1],
        attempt=row[2],
        kind=_KIND[row[3]],
        at=from_micros(row[4]),
        data=row[5],
        offset=row[6],
    )


def _read_returned(row: Row) -> Iterator[Event]:
    prediction_id, seq, attempt, _, at, data, offset, started_at = row
    yield _read_event((prediction_id, seq - 2, attempt, _STARTED, started_at, b"", offset - 2))
    yield _read_event((prediction_id, seq - 1, attempt, _OUTPUT_SET, at, data, offset - 1))
    yield _read_event((prediction_id, seq, attempt, _FINISHED, at, SUCCEEDED_DATA, offset))
