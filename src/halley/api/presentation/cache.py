"""Caches encoded answers, for the most frequent read: that of a terminal prediction. Also caches where links lead.

An entry is found by account, id and variant, so a hit also proves the owner. It is current for a few seconds after it
was compared with the row; a hint about the prediction removes it at once. Hints may be lost, hence both. If its links
are renewed or its data ends earlier, it is current until then. An answer about a running prediction is compared with
the row each time; it only saves reading the events.
"""

from collections import OrderedDict
from typing import Final

from halley.assets.links import DeliveryRight
from halley.predictions.records import OutputFile

LIMIT_BYTES: Final = 48 * 2**20
_ONE_LIMIT_BYTES: Final = 2**20
_OVERHEAD_BYTES: Final = 600  # keys, entry and index
FRESH_SECONDS: Final = 5.0  # as long as a verified key counts

FILES_LIMIT: Final = 4096

_HEAD: Final = b"content-type: application/json\r\ncontent-length: %d\r\netag: %b\r\ncache-control: no-store\r\n"

CacheKey = tuple[str, str, int]  # account id, prediction id, variant number


class CachedResponse:
    """One encoded answer. `head` holds its headers as they go over the wire.

    `stands`: it is about a running prediction, and good for as long as the revision and the end of links stay the same.
    """

    __slots__ = ("__weakref__", "body", "etag", "fresh_until", "head", "links_end_at", "revision", "stands")

    def __init__(
        self, body: bytes, etag: bytes, revision: int, links_end_at: int, fresh_until: float, *, stands: bool = False
    ) -> None:
        self.body = body
        self.etag = etag
        self.revision = revision
        self.links_end_at = links_end_at
        self.fresh_until = fresh_until
        self.stands = stands
        self.head = _HEAD % (len(body), etag)


class AnswerCache:
    """Removes the least recently used answers first; limited in bytes."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._size = 0
        self._kept: OrderedDict[CacheKey, CachedResponse] = OrderedDict()
        self._keys: dict[str, list[CacheKey]] = {}
        self.changes = 0  # number of removals

    def __len__(self) -> int:
        return len(self._kept)

    def fresh(self, key: CacheKey, now: float) -> CachedResponse | None:
        """The answer, if it was compared with its row recently (monotonic seconds)."""
        kept = self._kept.get(key)
        if kept is None or now >= kept.fresh_until:
            return None
        return kept

    def standing(self, key: CacheKey) -> CachedResponse | None:
        """The answer about a running prediction, to be compared with its row."""
        kept = self._kept.get(key)
        return kept if kept is not None and kept.stands else None

    def current(self, key: CacheKey, revision: int, links_end_at: int, fresh_until: float) -> CachedResponse | None:
        """The answer if it has this revision and its links expire at this time; it is then current again until
        `fresh_until`.
        """
        kept = self._kept.get(key)
        if kept is None or kept.revision != revision or kept.links_end_at != links_end_at:
            return None
        kept.fresh_until = fresh_until
        self._kept.move_to_end(key)
        return kept

    def put(self, key: CacheKey, kept: CachedResponse) -> None:
        """Keep an answer, unless it is so large that it would remove too many others."""
        if len(kept.body) > _ONE_LIMIT_BYTES:
            return
        if key in self._kept:
            self._drop(key)
            self.changes += 1
        self._kept[key] = kept
        self._keys.setdefault(key[1], []).append(key)
        self._size += _size(kept)
        while self._size > self._limit_bytes and self._kept:
            self._drop(next(iter(self._kept)))

    def forget(self, prediction_id: str) -> None:
        """Remove the answers about a prediction that has changed."""
        self.changes += 1
        for key in tuple(self._keys.get(prediction_id, ())):
            self._drop(key)

    def _drop(self, key: CacheKey) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self._size -= _size(kept)
        keys = self._keys[key[1]]
        keys.remove(key)
        if not keys:
            del self._keys[key[1]]


class DeliveredFiles:
    """Where links led a moment ago: players and downloads request one part after the other.

    As with an answer, an entry is current for a few seconds, and a hint about its prediction removes it. The entry
    includes the delivery right; the caller checks its expiry.
    """

    def __init__(self, limit: int = FILES_LIMIT) -> None:
        self._limit = limit
        self._kept: dict[str, dict[str, tuple[DeliveryRight, OutputFile, float]]] = {}
        self._count = 0
        self.changes = 0  # number of removals

    def fresh(self, capability: str, now: float) -> tuple[DeliveryRight, OutputFile] | None:
        """The right and the file, if they were looked up recently (monotonic seconds)."""
        kept = self._kept.get(capability.partition("-")[0], _NO_FILES).get(capability)
        if kept is None or now - kept[2] > FRESH_SECONDS:
            return None
        return kept[:2]

    def put(self, capability: str, delivery: DeliveryRight, file: OutputFile, now: float) -> None:
        """Keep the result of a look-up; entries of the oldest predictions are removed."""
        files = self._kept.setdefault(delivery.prediction_id, {})
        self._count += capability not in files
        files[capability] = delivery, file, now
        while self._count > self._limit:
            self.forget(next(iter(self._kept)))

    def forget(self, prediction_id: str) -> None:
        """Remove the entries of a prediction that has changed."""
        self.changes += 1
        self._count -= len(self._kept.pop(prediction_id, _NO_FILES))


_NO_FILES: Final[dict[str, tuple[DeliveryRight, OutputFile, float]]] = {}


def _size(kept: CachedResponse) -> int:
    return len(kept.body) + _OVERHEAD_BYTES
