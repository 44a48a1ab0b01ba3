"""One prediction in the runner."""

from __future__ import annotations

from contextvars import ContextVar
from time import time_ns as _time_ns
from typing import Any, Dict, List, Optional, Tuple

from .allowed import Bounds
from .frames import Frame, text_to_json

WORK = ("predict", "train")
"""The frames that begin a prediction. The mode of the process decides which one it accepts."""


class Prediction:
    """State of a running prediction. `id` is None for the replica itself, which owns unattributed log text.

    What most predictions do not need has its first value here, and not in each of them.
    """

    id: Optional[str] = None
    key = "null"
    """`id` as JSON."""
    folder = ""
    n = 0
    """The number of the last frame sent about this prediction."""
    said = 0
    """How many characters of log text it has printed, sent or not."""
    texts: Optional[List[str]] = None
    size = 0
    """Log text that is not sent yet, and its length."""
    files = 0
    items = 0
    """How many items of an iterator were sent."""
    canceled = False
    left: Optional[BaseException] = None
    """What one of its tasks raised to exit the process."""
    ended = False
    has_begun = False
    task: Any = None
    has_returned_files = False
    """Whether `returned` has any."""
    _returned: Optional[Dict[str, Tuple[int, int]]] = None
    _kinds: Optional[Dict[str, str]] = None

    def __init__(self, frame: Optional[Frame] = None, bounds: Optional[Bounds] = None) -> None:
        frame = frame or {}
        self.bounds: Any = bounds
        self.input: Dict[str, Any] = frame.get("input") or {}
        self.paths: List[List[Any]] = frame.get("paths") or []
        """Places in the input that hold the path of a file staged for this prediction."""
        name = frame.get("id")
        if name is not None:
            self.id, self.key = name, text_to_json(name)
        self.folder = frame.get("folder") or ""
        self.context: Dict[str, str] = frame.get("context") or {}
        self.began = _time_ns()
        """Wall-clock time, as the times of files are; in ns."""

    @property
    def returned(self) -> Dict[str, Tuple[int, int]]:
        """Files that were copied because the model returned them, each with its inode and time of change. Asked for
        when there is one.
        """
        if self._returned is None:
            self._returned, self.has_returned_files = {}, True
        return self._returned

    @property
    def kinds(self) -> Dict[str, str]:
        """Metric names reported so far, each with the kind of its value."""
        if self._kinds is None:
            self._kinds = {}
        return self._kinds


current: ContextVar[Optional[Prediction]] = ContextVar("halley_prediction", default=None)
"""The prediction in whose context this code runs. Empty in threads that a model starts itself."""
