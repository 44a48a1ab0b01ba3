"""Keeps predictions that ended a moment ago in memory: waiting requests read them without a query.

Only terminal rows are added, after their commit is acknowledged: such a row does not change any more, except that its
data is removed; then it must be dropped here.
"""

from collections import OrderedDict
from typing import Final

from halley.predictions.records import Prediction
from halley.predictions.status import TERMINAL

MOST_BYTES: Final = 4 * 2**20
MOST_ROW_BYTES: Final = 32 * 1024  # a large row costs more to keep than to read
_OVERHEAD_BYTES: Final = 1024


class RecentRows:
    """The newest rows up to a number of bytes; the oldest are removed first.

    Empty if the database `is_shared`: another process may remove their data without this process knowing.
    """

    def __init__(self, *, is_shared: bool = False) -> None:
        self._is_shared = is_shared
        self._rows: OrderedDict[str, tuple[Prediction, int]] = OrderedDict()
        self._bytes = 0

    def get(self, prediction_id: str) -> Prediction | None:
        found = self._rows.get(prediction_id)
        return None if found is None else found[0]

    def put(self, prediction: Prediction) -> None:
        """Keep the row, if it is terminal and not large."""
        if prediction.id in self._rows:
            self.forget(prediction.id)
        size = _OVERHEAD_BYTES + len(prediction.input) + len(prediction.output or b"") + len(prediction.logs)
        if size > MOST_ROW_BYTES or prediction.status not in TERMINAL or self._is_shared:
            return
        self._rows[prediction.id] = prediction, size
        self._bytes += size
        while self._bytes > MOST_BYTES:
            self._bytes -= self._rows.popitem(last=False)[1][1]

    def forget(self, prediction_id: str) -> None:
        found = self._rows.pop(prediction_id, None)
        if found is not None:
            self._bytes -= found[1]
