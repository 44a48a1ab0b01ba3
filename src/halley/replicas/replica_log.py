"""Lines that replicas print outside of predictions (in setup, in background threads, while idle).

The last lines of each model are kept, from any of its processes, and repeated in the server's log up to a limit.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from halley.clock import Clock
from halley.replicas.host import Origin

_log = logging.getLogger(__name__)

LINE_CHARS: Final = 2000  # a longer line is cut
UNFINISHED_SECONDS: Final = 1.0  # an unfinished line is shown after this time
WINDOW_SECONDS: Final = 60.0
_CONTROLS: Final = dict.fromkeys((*range(32), *range(127, 160), 0x2028, 0x2029), " ") | {ord("\t"): "\t"}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `number` counts the lines of the model, also those that are not kept any more."""

    number: int
    at: datetime  # when the line ended
    version: str
    pid: int
    text: str


class LogRules(msgspec.Struct, frozen=True, kw_only=True):
    """How many lines of each model are kept, and how many of them a minute go to the server's log."""

    kept_lines: int = 1000
    lines_per_minute: int = 300


class ReplicaLogs:
    """Implements `host.ReplicaLogListener`."""

    def __init__(self, clock: Clock, rules: LogRules | None = None) -> None:
        self._clock = clock
        self._rules = rules or LogRules()
        self._models: dict[str, _ModelLog] = {}

    def on_text(self, origin: Origin, text: str) -> None:
        log = self._models.get(origin.model)
        if log is None:
            log = self._models[origin.model] = _ModelLog(origin.model, self._clock, self._rules)
        log.on_text(origin, text)

    def on_exit(self, origin: Origin) -> None:
        if (log := self._models.get(origin.model)) is not None:
            log.close(origin.pid)

    def lines(self, model: str, after: int = 0) -> Sequence[Line]:
        """The kept lines of a model with numbers above `after`, the oldest first."""
        log = self._models.get(model)
        return log.read(after) if log is not None else ()


class _ModelLog:
    def __init__(self, model: str, clock: Clock, rules: LogRules) -> None:
        self._clock = clock
        self._lines: deque[Line] = deque(maxlen=rules.kept_lines)
        self._number = 0
        self._unfinished: dict[int, tuple[Origin, str, float]] = {}  # by pid: text, and when it was received
        self._repeat = _LogRepeater(model, rules.lines_per_minute)

    def on_text(self, origin: Origin, text: str) -> None:
        _, before, _ = self._unfinished.pop(origin.pid, (None, "", 0.0))
        *whole, rest = (before + text).split("\n")
        if rest:
            self._unfinished[origin.pid] = (origin, _unfinished(rest), self._clock.monotonic())
        self._add(origin, whole)

    def close(self, pid: int) -> None:
        """End the process's unfinished line."""
        origin, text, _ = self._unfinished.pop(pid, (None, "", 0.0))
        if origin is not None:
            self._add(origin, [text])

    def read(self, after: int) -> Sequence[Line]:
        for pid, (_, _, heard_at) in list(self._unfinished.items()):
            if self._clock.monotonic() - heard_at >= UNFINISHED_SECONDS:
                self.close(pid)
        return [line for line in self._lines if line.number > after]

    def _add(self, origin: Origin, texts: Sequence[str]) -> None:
        kept = texts[-(self._lines.maxlen or 0) :]  # many lines at once must not cost more than those that are kept
        self._number += len(texts) - len(kept)
        now = self._clock.now()
        for text in kept:
            self._number += 1
            shown = _shown(text)
            self._lines.append(Line(number=self._number, at=now, version=origin.version, pid=origin.pid, text=shown))
        self._repeat.lines(origin.pid, texts, self._clock.monotonic())


class _LogRepeater:
    """Repeats lines in the server's log: a limited number for each model and minute, and a note about the rest."""

    def __init__(self, model: str, most: int) -> None:
        self._model = model
        self._most = most
        self._window_ends = 0.0
        self._told = 0
        self._left_out = 0

    def lines(self, pid: int, texts: Sequence[str], now: float) -> None:
        if not self._most or not texts:
            return
        if now >= self._window_ends:
            if self._left_out:
                _log.info("%s: %d more lines were left out here", self._model, self._left_out)
            self._window_ends, self._told, self._left_out = now + WINDOW_SECONDS, 0, 0
        room = self._most - self._told
        for text in _printable(texts[:room] if room > 0 else ()):
            _log.info("%s[%d]: %s", self._model, pid, text)
        self._told += len(texts)
        if self._told > self._most:
            if not self._left_out:
                _log.warning(
                    "%s prints more than %d lines a minute outside of predictions: the rest is left out here "
                    "(limits.own_log_lines_per_minute); `halley models logs %s` shows the last ones",
                    *(self._model, self._most, self._model),
                )
            self._left_out += len(texts) - max(0, room)


def _shown(line: str) -> str:
    """What a terminal would show of the line: progress bars overwrite themselves."""
    return line.rstrip("\r").rpartition("\r")[2][:LINE_CHARS]


def _unfinished(rest: str) -> str:
    """The part of an unfinished line that `_shown` will need later."""
    return _shown(rest) + ("\r" if rest.endswith("\r") else "")


def _printable(texts: Sequence[str]) -> Iterator[str]:
    """Lines without control characters, which could imitate other lines or move a terminal's cursor; without empty
    ones.
    """
    for text in texts:
        shown = _shown(text).translate(_CONTROLS).rstrip()
        if shown:
            yield shown
