"""Showing a prediction while it runs: new log lines, one live line with a bar, text as it is made."""

from __future__ import annotations

import re
from typing import Final

from halley.cli.client import Json
from halley.cli.screen import Screen

BAR_CELLS: Final = 24
_STEP: Final = re.compile(r"(\d{1,3})%\|[^|\r\n]*\|\s*(\d+)/(\d+)")  # a tqdm line; the last match counts


class Progress:
    """Turns readings of one prediction into words; give it each reading."""

    def __init__(self, screen: Screen, *, stream_text: bool = False, logs: bool = True) -> None:
        self._screen = screen
        self._stream_text = stream_text
        self._logs = logs
        self._logged = 0
        self._written = 0
        self.streamed = False

    def show(self, prediction: Json) -> None:
        """Show what is new since the last reading."""
        self._show_logs(prediction)
        if self._stream_text:
            self._show_text(prediction)
        if not (self._stream_text and self._written):  # a live line would run through the text
            self._screen.status(f"  {_words(prediction)}")

    def _show_logs(self, prediction: Json) -> None:
        logs = str(prediction.get("logs") or "")
        whole = logs.rfind("\n") + 1 if prediction.get("status") in {"starting", "processing"} else len(logs)
        if self._logs and whole > self._logged:
            lines = logs[self._logged : whole].replace("\r", "\n").splitlines()
            for line in lines:
                if line.strip() and not _STEP.search(line):
                    self._screen.note(f"  | {line}")
            self._logged = whole

    def _show_text(self, prediction: Json) -> None:
        output = prediction.get("output")
        pieces = output if isinstance(output, list) else [output] if isinstance(output, str) else []
        new = pieces[self._written :]
        if new and all(isinstance(piece, str) for piece in new):
            self._screen.out("".join(new), end="")
            self._written = len(pieces)
            self.streamed = True


def step_of(logs: str) -> tuple[int, int] | None:
    """Give (done, total) of the last progress line in the logs."""
    steps = _STEP.findall(logs[-4000:])
    return (int(steps[-1][1]), int(steps[-1][2])) if steps else None


def _words(prediction: Json) -> str:
    status = str(prediction.get("status"))
    step = step_of(str(prediction.get("logs") or ""))
    if status == "starting":
        return "queued"
    if step is None or step[1] <= 0:
        return "running" if status == "processing" else status
    filled = BAR_CELLS * min(step[0], step[1]) // step[1]
    return f"running {'━' * filled}{'╌' * (BAR_CELLS - filled)} {step[0]}/{step[1]}"
