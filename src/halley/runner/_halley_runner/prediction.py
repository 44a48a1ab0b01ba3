"""One prediction in the runner."""

from __future__ import annotations

from contextvars import ContextVar
from time import time_ns as _time_ns
from typing import Any, Dict, List, Optional, Tuple

from .allowed import Bounds
from .frames import Frame, to_json

WORK = ("predict", "train")
"""The frames that begin a prediction. The mode of the process decides which one it accepts."""


class Prediction:
    """State of a running prediction. `id` is None for the replica itself, which owns unattributed log text."""

    __slots__ = (
        "began",
        "bounds",
        "canceled",
        "context",
        "ended",
        "files",
        "folder",
        "has_begun",
        "id",
        "input",
        "items",
        "key",
        "kinds",
        "left",
        "n",
        "paths",
        "returned",
        "said",
        "size",
        "task",
        "texts",
    )

    def __init__(self, frame: Optional[Frame] = None, bounds: Optional[Bounds] = None) -> None:
        frame = frame or {}
        self.bounds: Any = bounds
        self.input: Dict[str, Any] = frame.get("input") or {}
        self.paths: List[List[Any]] = frame.get("paths") or []
        """Places in the input that hold the path of a file staged for this prediction."""
        self.id: Optional[str] = frame.get("id")
        self.key = to_json(self.id)
        self.folder: str = frame.get("folder") or ""
        self.context: Dict[str, str] = frame.get("context") or {}
        self.n = 0
        """The number of the last frame sent about this prediction."""
        self.said = 0
        """How many characters of log text it has printed, sent or not."""
        self.texts: List[str] = []
        self.size = 0
        """Log text that is not sent yet, and its length."""
        self.files = 0
        self.began = _time_ns()
        """Wall-clock time, as the times of files are; in ns."""
        self.returned: Dict[str, Tuple[int, int]] = {}
        """Files that were copied because the model returned them, each with its inode and time of change."""
        self.items = 0
        """How many items of an iterator were sent."""
        self.kinds: Dict[str, str] = {}
        """Metric names reported so far, each with the kind of its value."""
        self.canceled = False
        self.left: Optional[BaseException] = None
        """What one of its tasks raised to exit the process."""
        self.ended = False
        self.has_begun = False
        self.task: Any = None


current: ContextVar[Optional[Prediction]] = ContextVar("halley_prediction", default=None)
"""The prediction in whose context this code runs. Empty in threads that a model starts itself."""
