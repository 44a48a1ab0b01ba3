"""Predictions that ended here a moment ago: waiters read them without a SQLite query.

Only terminal rows come in, and only once their commit is acknowledged: such a row changes no more, except that its data
is removed, and then it must be forgotten here.
"""

from collections import OrderedDict
from typing import Final

from halley.predictions.records import Prediction

MOST_BYTES: Final = 4 * 2**20
MOST_ROW_BYTES: Final = 32 * 1024  # a large row costs more to keep than to read
_OVERHEAD_BYTES: Final = 1024


class RecentRows:
    """The newest rows up to a number of bytes; the oldest go first.

    None are kept if the database `is_shared`: another process may remove their data without this process knowing.
    """

    def __init__(self, *, is_shared: bool = False) -> None:
        self._is_shared = is_shared
        self._rows: OrderedDict[str, tuple[Prediction, int]] = OrderedDict()
        self._bytes = 0

    def get(self, prediction_id: str) -> Prediction | None:
        found = self._rows.get(prediction_id)
        return None if found is None else found[0]

    def put(self, prediction: Prediction) -> None:
        """Keep it, if it is terminal and not large."""
        self.forget(prediction.id)
        size = _OVERHEAD_BYTES + len(prediction.input) + len(prediction.output or b"") + len(prediction.logs)
        if self._is_shared or size > MOST_ROW_BYTES or not prediction.is_terminal:
            return
        self._rows[prediction.id] = prediction, size
        self._bytes += size
        while self._bytes > MOST_BYTES:
            self._bytes -= self._rows.popitem(last=False)[1][1]

    def forget(self, prediction_id: str) -> None:
        found = self._rows.pop(prediction_id, None)
        if found is not None:
            self._bytes -= found[1]
