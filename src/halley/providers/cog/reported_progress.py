"""What was reported of a run, kept for a follower that comes later."""

from collections.abc import Callable, Iterator
from typing import Final

from halley.dispatch.ports import LogText, Progress

_JOINED_CHARS: Final = 4096
MOST_LOG_CHARS: Final = 2**26  # more than `limits.log_bytes` keeps; the rest is dropped here


class ReportedProgress:
    """The parts of the progress, in order. Short pieces of log text are joined: a model may print millions of lines."""

    def __init__(self) -> None:
        self.kept: list[Progress] = []
        self._log_chars = 0

    def add(self, part: Progress) -> None:
        """The next part."""
        if not isinstance(part, LogText):
            self.kept.append(part)
            return
        if self._log_chars > MOST_LOG_CHARS:
            return
        self._log_chars += len(part.text)
        last = self.kept[-1] if self.kept else None
        if isinstance(last, LogText) and len(last.text) < _JOINED_CHARS:
            self.kept[-1] = LogText(last.text + part.text)
        else:
            self.kept.append(part)

    def reader(self) -> Callable[[], Iterator[Progress]]:
        """A function that gives what is new since its last call, all of it at the first one."""
        at, chars = 0, 0  # of the part there: more text may have been joined to it

        def new() -> Iterator[Progress]:
            nonlocal at, chars
            while at < len(self.kept):
                part = self.kept[at]
                if not isinstance(part, LogText):
                    at, chars = at + 1, 0
                    yield part
                    continue
                text, chars = part.text[chars:], len(part.text)
                if text:
                    yield LogText(text)
                elif at + 1 < len(self.kept):
                    at, chars = at + 1, 0
                else:
                    return

        return new
