"""The objects that a model finds as `sys.stdout` and `sys.stderr`."""

from __future__ import annotations

import codecs
import io
import sys
from typing import Any, Callable, Iterable, List

Write = Callable[[str], None]


class TaggedStream(io.TextIOBase):
    """Text goes straight to the journal, which finds its prediction by the context. Closing it has no effect."""

    def __init__(self, write: Write, descriptor: int, name: str) -> None:
        self._write = write
        self._descriptor = descriptor
        self.name = name
        self.mode = "w"
        self.buffer = TaggedBytes(self)

    encoding = "utf-8"
    errors = "replace"
    newlines = None
    line_buffering = True
    write_through = True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not %s" % type(text).__name__)
        if text:
            self._write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        self.write("".join(lines))

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def reconfigure(self, **_options: Any) -> None:
        """Do nothing. Models call it for UTF-8 or line buffering; both are set already."""

    def close(self) -> None:
        """Stay open: what a model prints after closing its output is still its log."""


class TaggedBytes(io.BufferedIOBase):
    """`sys.stdout.buffer`: bytes of UTF-8; a write may end inside a character."""

    def __init__(self, text: TaggedStream) -> None:
        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.name = text.name
        self.mode = "wb"

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._text.write(self._decoder.decode(view.tobytes()))
        return view.nbytes

    def fileno(self) -> int:
        return self._text.fileno()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Stay open, as the text stream does."""


def install(write: Write) -> List[TaggedStream]:
    """Replace both standard streams by tagged ones."""
    sys.stdout = sys.__stdout__ = TaggedStream(write, 1, "<stdout>")  # type: ignore[misc,assignment]
    sys.stderr = sys.__stderr__ = TaggedStream(write, 2, "<stderr>")  # type: ignore[misc,assignment]
    return [sys.stdout, sys.stderr]
