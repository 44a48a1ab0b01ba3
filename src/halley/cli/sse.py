"""Parses server-sent events from chunks of bytes. Source: the HTML standard, section 9.2.6."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def read_data(pieces: Iterable[bytes]) -> Iterator[str | None]:
    """Yield the data of each whole event, and None when something arrived that is not yet a whole event.

    Lines are split as bytes: characters that JSON may contain (U+2028 and others) are line breaks in text. An
    incomplete event at the end is dropped: a client that reconnects gets it again.
    """
    data: list[str] = []
    for lines in _lines(pieces):
        reported = False
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" ").decode("utf-8", "replace"))
            elif not line and data:
                yield "\n".join(data)
                reported = True
                data.clear()
        if not reported:
            yield None


def _lines(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    begun: list[bytes] = []  # of an unfinished line: an output may have many pieces
    for piece in pieces:
        begin, line_break, rest = piece.partition(b"\n")
        begun.append(begin)
        if not line_break:
            yield []
            continue
        *whole, rest = rest.split(b"\n")
        yield [line.removesuffix(b"\r") for line in (b"".join(begun), *whole)]
        begun = [rest]
