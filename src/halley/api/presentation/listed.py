"""Encodes predictions for lists: a terminal one is encoded once, not for each page."""

from typing import Final

from halley.api.http.asgi import Variant
from halley.api.presentation.present import Presenter
from halley.predictions.records import Prediction

LIMIT_BYTES: Final = 8 * 2**20
_ONE_LIMIT_BYTES: Final = 2**16
_OVERHEAD_BYTES: Final = 500  # key, entry and the compared values

_Key = tuple[str, str, int]  # account id, prediction id, variant number
_MadeOf = tuple[object, ...]


class ListedItems:
    """A first-in, first-out cache, limited in bytes. Each entry is compared with its row before it is used."""

    def __init__(self, presenter: Presenter, limit_bytes: int = LIMIT_BYTES) -> None:
        self._presenter = presenter
        self._limit_bytes = limit_bytes
        self._size = 0
        self._kept: dict[_Key, tuple[_MadeOf, bytes]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, row: Prediction, variant: Variant) -> bytes:
        """The item without logs. A running prediction must include its output so far."""
        if not row.is_terminal or variant.own_key is not None:
            return self._encoded(row, variant)
        key = row.account_id, row.id, variant.number
        made_of = row.revision, self._presenter.links_end_at(row), row.data_removed_at, row.repeated_creates
        kept = self._kept.get(key)
        if kept is not None and kept[0] == made_of:
            return kept[1]
        encoded = self._encoded(row, variant)
        self._drop(key)
        if len(encoded) <= _ONE_LIMIT_BYTES:
            self._kept[key] = made_of, encoded
            self._size += len(encoded) + _OVERHEAD_BYTES
            while self._size > self._limit_bytes:
                self._drop(next(iter(self._kept)))
        return encoded

    def _encoded(self, row: Prediction, variant: Variant) -> bytes:
        return self._presenter.json(row, variant, with_logs=False)

    def _drop(self, key: _Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size -= len(kept[1]) + _OVERHEAD_BYTES
