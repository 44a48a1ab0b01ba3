"""Keeps rows that the writer has just written: most change once more, by their end, and need not be read again.

Each is compared with the database: before it is used (`take`), or by the statement that writes its end (`held_by`, with
rows.UPDATE_IF_UNCHANGED). Every change of a row raises its revision, except records about a submit: a row with such a
record is read again. Rows that wait in the queue are kept apart: the oldest are needed first.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final

from halley.predictions.queue import Lease
from halley.store.sqlite.many_rows import Portions
from halley.store.sqlite.rows import Live

MOST_ROWS: Final = 512
MOST_WAITING: Final = 1024
MOST_INPUT_BYTES: Final = 4096  # a larger one costs more to keep than to read

_STATE: Final = (
    "SELECT p.revision, p.submit_state, p.last_seq, p.has_progress, q.session_id, q.fence, q.attempt"
    " FROM predictions AS p LEFT JOIN queue AS q ON q.prediction_id = p.id WHERE p.number = ? AND p.id = ?"
)
_COUNT_NEW: Final = Portions(
    "SELECT count(*) FROM predictions WHERE number IN ({}) AND revision = 1 AND submit_state IS NULL", "?"
)


class KnownRows:
    """The newest rows; the oldest are removed first. For the writer's thread."""

    def __init__(self) -> None:
        self._rows: dict[str, Live] = {}
        self._waiting: dict[str, Live] = {}

    def keep(self, live: Live) -> None:
        """Remember a row as it is now in the open transaction, with its input."""
        prediction = live.prediction
        if len(prediction.input) > MOST_INPUT_BYTES or prediction.submit_state is not None:
            return
        self._rows[prediction.id] = live
        if len(self._rows) > MOST_ROWS:
            del self._rows[next(iter(self._rows))]

    def keep_waiting(self, live: Live) -> None:
        """Remember a new row (of revision 1) without a lease until it is claimed. If there are many, the first ones are
        kept: they are claimed first.
        """
        if len(self._waiting) < MOST_WAITING and len(live.prediction.input) <= MOST_INPUT_BYTES:
            self._waiting[live.prediction.id] = live

    def take_waiting(self, connection: sqlite3.Connection, prediction_ids: Iterable[str]) -> dict[str, Live]:
        """Those of these rows that are kept, if none of them has changed. They are not kept any more."""
        kept = {name: live for name in prediction_ids if (live := self._waiting.pop(name, None)) is not None}
        numbers = [live.number for live in kept.values()]
        new = sum(connection.execute(statement, some).fetchone()[0] for statement, some in _COUNT_NEW.of(numbers))
        return kept if new == len(kept) else {}

    def take(self, connection: sqlite3.Connection, prediction_id: str) -> Live | None:
        """The row with its queue entry, as `rows.select_live` reads it; None if it is not kept any more."""
        live = self._rows.pop(prediction_id, None)
        if live is None:
            return None
        row = connection.execute(_STATE, (live.number, prediction_id)).fetchone()
        if row is None or row[0] != live.prediction.revision or row[1] is not None:
            return None
        _, _, live.last_seq, has_progress, live.session_id, live.fence, attempt = row
        live.has_progress = has_progress == 1
        live.attempt = attempt or live.prediction.attempts
        return live

    def held_by(self, lease: Lease) -> Live | None:
        """The row as it was kept, if it was kept with this lease. The statement that writes it must compare it."""
        live = self._rows.get(lease.prediction_id)
        if live is None or live.fence != lease.fence or live.session_id != lease.session_id:
            return None
        return self._rows.pop(lease.prediction_id)

    def forget(self, prediction_id: str) -> None:
        """It is about to change in a way that its revision does not show."""
        self._rows.pop(prediction_id, None)
        self._waiting.pop(prediction_id, None)

    def clear(self) -> None:
        """A transaction has failed: its writes were undone."""
        self._rows.clear()
        self._waiting.clear()
