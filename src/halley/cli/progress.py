"""Shows a prediction while it runs: new log lines, a progress line with a bar, and output as it is made."""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from halley.cli.client import Json
from halley.cli.screen import Screen
from halley.predictions.tqdm_parser import last_step

Stream = Literal["text", "items"]
"""How output is printed: text in pieces that belong together, or one item after the other."""

LOOKED_AT: Final = 4000  # characters at the end of the logs that are searched for a bar


class ProgressDisplay:
    """Shows one prediction's progress; receives events of its log, or whole predictions, or both in turn."""

    def __init__(self, screen: Screen, *, stream: Stream | None = None, logs: bool = True) -> None:
        self._screen = screen
        self._stream = stream
        self._logs = logs
        self._logged = 0  # characters already shown
        self._line = ""  # the logs' last, unfinished line
        self._items = 0  # output items already shown
        self._status = "starting"
        self._reason: str | None = None  # why it waits
        self._step: tuple[int, int] | None = None
        self.streamed = False

    def show(self, prediction: Json) -> None:
        """Receive a whole prediction, and show what is new."""
        self._status = str(prediction.get("status"))
        self._reason = prediction.get("starting_reason")  # an extension of ours
        logs = str(prediction.get("logs") or "")
        if len(logs) > self._logged:
            self._take_logs(logs[self._logged :])
            self._step = step_of(logs) or self._step
        output = prediction.get("output")
        items = output if isinstance(output, list) else [] if output is None else [output]
        self._take_output(items[self._items :])
        self._show_rest()

    def hear(self, event: Json) -> None:
        """Receive an event of the log, and show it."""
        data = event["data"]
        match event["event"]:
            case "status":
                self._status = str(data.get("status"))
            case "logs" | "attempt_lost":
                self._take_logs(str(data.get("text") or ""))
            case "progress":
                self._step = int(data["current"]), int(data["total"])
            case "output":
                value = data.get("value")
                is_list = isinstance(value, list) and not data.get("is_item")
                self._take_output(value if is_list else [value])
        self._show_rest()

    def _show_rest(self) -> None:
        if self._status not in {"starting", "processing"}:
            line, self._line = self._line, ""
            self._show_line(line)
        if not self._items or self._stream is None:  # a progress line would interrupt the output
            self._show_live()

    def _take_logs(self, text: str) -> None:
        self._logged += len(text)
        *lines, self._line = (self._line + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in lines:
            self._show_line(line)

    def _show_line(self, line: str) -> None:
        if self._logs and line.strip() and last_step(line) is None:
            self._screen.note(f"  | {line}")

    def _take_output(self, items: list[Any]) -> None:
        self._items += len(items)
        if items and self._stream is not None:
            self._screen.out("".join(map(self._shown, items)), end="")
            self.streamed = True

    def _shown(self, item: Any) -> str:
        if self._stream == "text" and isinstance(item, str):
            return item
        is_plain = isinstance(item, str) and not self._screen.wants_json
        return f"{item if is_plain else json.dumps(item, ensure_ascii=False)}\n"

    def _show_live(self) -> None:
        if self._status == "starting":
            self._screen.status(f"  queued: {self._reason}" if self._reason else "  queued")
        elif self._status == "processing" and self._step is not None and self._step[1] > 0:
            self._screen.bar("  running", *self._step)
        else:
            self._screen.status(f"  {'running' if self._status == 'processing' else self._status}")


def step_of(logs: str) -> tuple[int, int] | None:
    """Return (done, total) of the last progress bar in the logs."""
    step = last_step(logs[-LOOKED_AT:])
    return None if step is None else (step.current, step.total)
