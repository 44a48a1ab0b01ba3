"""Counts the submits to each provider in 24 hours, for the number that its settings allow."""

import sqlite3
from contextlib import closing
from datetime import datetime
from typing import Final

from halley.clock import from_micros, to_micros
from halley.errors import SubmitLimitReached
from halley.predictions.submits import COUNTED_TIME, SubmitCount, limit_reached
from halley.store.sqlite.reads import Reads

_COUNT: Final = "SELECT provider, count(*) FROM submits WHERE at > ? GROUP BY provider"
# the one that must stop counting before the next is allowed: the last of the newest `most`
_DECIDES: Final = "SELECT at FROM submits WHERE provider = ? AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?"
_ADD: Final = "INSERT OR REPLACE INTO submits (prediction_id, provider, at, place) VALUES (?, ?, ?, ?)"
_PLACE: Final = "SELECT place FROM submits WHERE prediction_id = ?"
_DROP: Final = "DELETE FROM submits WHERE prediction_id = ?"
# the place of a run that continues is needed when another process adopts it
_DROP_OLD: Final = (
    "DELETE FROM submits WHERE provider = ? AND at <= ?"
    " AND NOT EXISTS (SELECT 1 FROM predictions WHERE id = prediction_id AND completed_at IS NULL)"
)


def count_submit(
    connection: sqlite3.Connection, prediction_id: str, provider: str, count: SubmitCount
) -> SubmitLimitReached | None:
    """Count the submit of a prediction; `count.at` is the store's time. With an error nothing was written."""
    if count.most is not None:
        with closing(connection.execute(_DECIDES, _deciding(provider, count.at, count.most))) as rows:
            seconds = _seconds(rows.fetchone(), count.at)
        if seconds > 0:
            return limit_reached(provider, count.most, seconds)
    connection.execute(_DROP_OLD, (provider, _since(count.at)))
    connection.execute(_ADD, (prediction_id, provider, to_micros(count.at), count.place))
    return None


def forget_submit(connection: sqlite3.Connection, prediction_id: str) -> None:
    """Nothing was begun."""
    connection.execute(_DROP, (prediction_id,))


def read_place(connection: sqlite3.Connection, prediction_id: str) -> str:
    """See `SubmitCount.place`; "" if it is not known."""
    row = connection.execute(_PLACE, (prediction_id,)).fetchone()
    return "" if row is None else str(row[0])


def read_counts(reads: Reads, at: datetime) -> dict[str, int]:
    """See `SubmitLedger.count_submits`."""
    return dict(reads.all(_COUNT, _since(at)))


def read_seconds(reads: Reads, provider: str, count: SubmitCount) -> float:
    """See `SubmitLedger.seconds_until_submit`."""
    if count.most is None:
        return 0.0
    return _seconds(next(iter(reads.all(_DECIDES, *_deciding(provider, count.at, count.most))), None), count.at)


def _deciding(provider: str, at: datetime, most: int) -> tuple[str, int, int]:
    return provider, _since(at), most - 1


def _since(at: datetime) -> int:
    return to_micros(at - COUNTED_TIME)


def _seconds(row: tuple[int] | None, at: datetime) -> float:
    return 0.0 if row is None else (from_micros(row[0]) + COUNTED_TIME - at).total_seconds()
