"""Parts of long texts. A page shows a part, with links to the others; the API has the whole."""

import asyncio
import re
from typing import Any, Final

import msgspec

from halley.strict_json import HEAVY_BYTES, is_heavy

PART: Final = 200_000  # characters of a text on one page
_PIECE: Final = 512 * 1024  # characters of a log from which escape sequences are removed at once
_LONGEST_ESCAPE: Final = 300
_TERMINATOR: Final = "\x1b\\"
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)|[@-Z\\-_])")


class TextPart(msgspec.Struct, frozen=True, kw_only=True):
    """Part `number` of `count`, from 1. `size` is the number of characters of the whole."""

    text: str
    number: int = 1
    count: int = 1
    size: int

    @property
    def is_whole(self) -> bool:
        return self.count == 1

    @property
    def earlier(self) -> int | None:
        return self.number - 1 if self.number > 1 else None

    @property
    def later(self) -> int | None:
        return self.number + 1 if self.number < self.count else None


def part_of(text: str, number: int | None = None, *, characters: int = PART) -> TextPart:
    """One part of a text; the last one if no number is given, the nearest one if there are fewer."""
    count = max(1, -(-len(text) // characters))
    number = count if number is None else min(max(1, number), count)
    shown = text[(number - 1) * characters : number * characters]
    return TextPart(text=shown, number=number, count=count, size=len(text))


def cut(text: str, characters: int) -> str:
    """The text, or its beginning with a sign that more follows."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def plain_log(text: str) -> str:
    """A log as a terminal would leave it: no escape sequences, and of a line that was written over the last state."""
    return _as_overwritten(_ESCAPES.sub("", text) if "\x1b" in text else text)


async def plain_long_log(text: str) -> str:
    """The same for a log of any length: other requests are served meanwhile."""
    if "\x1b" not in text or len(text) <= _PIECE:
        return plain_log(text)
    pieces, at = [], 0
    while at < len(text):
        end = _end_of_piece(text, at)
        pieces.append(_ESCAPES.sub("", text[at:end]))
        at = end
        await asyncio.sleep(0)
    return _as_overwritten("".join(pieces))


def _end_of_piece(text: str, at: int) -> int:
    """The end of a piece that begins there: before an escape sequence, if one may continue after the piece."""
    end = at + _PIECE
    if end >= len(text):
        return len(text)
    last = text.rfind("\x1b", end - _LONGEST_ESCAPE, end)
    if last < 0:
        return end
    if text.startswith(_TERMINATOR, last):  # alone it is a sequence of its own
        before = text.rfind("\x1b", last - _LONGEST_ESCAPE, last)
        ended = _ESCAPES.match(text, before) if before >= 0 else None
        if ended is not None and ended.end() > last:
            return before
    return last


def _as_overwritten(text: str) -> str:
    if "\r" not in text:
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join([line if "\r" not in line else line.rstrip("\r").rpartition("\r")[2] for line in lines])


def pretty(value: bytes | msgspec.Raw, *, characters: int = PART) -> TextPart:
    """A JSON text for reading: with line breaks if it is not too large, and its beginning."""
    text = _small_text(value)
    if text is not None:
        shown = msgspec.json.format(text, indent=2).decode()
        return TextPart(text=shown[:characters], size=len(shown), count=max(1, -(-len(shown) // characters)))
    size = size_of(value)
    shown = first_bytes(value, characters).decode("utf-8", "ignore")
    return TextPart(text=shown, size=size, count=max(1, -(-size // characters)))


def decode_small(value: bytes | msgspec.Raw) -> Any:
    """The value of a JSON text; None if the text is too large to be decoded for a page."""
    text = _small_text(value)
    return None if text is None else msgspec.json.decode(text)


def _small_text(value: bytes | msgspec.Raw) -> bytes | None:
    if size_of(value) > HEAVY_BYTES:
        return None
    text = bytes(value)
    return None if is_heavy(text) else text


def size_of(value: bytes | msgspec.Raw) -> int:
    """The bytes of a JSON text. `bytes()` copies a `Raw`, of which an output may have 50 MB."""
    return memoryview(value).nbytes


def first_bytes(value: bytes | msgspec.Raw, count: int) -> bytes:
    """The first bytes of a JSON text, without a copy of the others."""
    return bytes(memoryview(value)[:count])
