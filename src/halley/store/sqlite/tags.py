"""Tags of predictions: rows only where there are any."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from halley.predictions.records import Prediction

_PUT: Final = "INSERT INTO tags (account_id, tag, prediction_id, place) VALUES (?, ?, ?, ?)"
_OF: Final = (
    "SELECT prediction_id, tag FROM tags INDEXED BY tags_of_prediction"
    " WHERE prediction_id IN (SELECT value FROM json_each(?)) ORDER BY prediction_id, place"
)


def keep_tags(connection: sqlite3.Connection, prediction: Prediction, tags: Sequence[str]) -> None:
    """Store the tags of a new prediction."""
    account_id, prediction_id = prediction.account_id, prediction.id
    connection.executemany(_PUT, [(account_id, tag, prediction_id, place) for place, tag in enumerate(tags)])


def read_tags(connection: sqlite3.Connection, prediction_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """See SearchStore.tags_of."""
    found: dict[str, tuple[str, ...]] = {}
    for prediction_id, tag in connection.execute(_OF, (msgspec.json.encode(prediction_ids).decode(),)):
        found[prediction_id] = (*found.get(prediction_id, ()), tag)
    return found
