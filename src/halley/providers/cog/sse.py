"""Reads an event stream. Source: HTML Living Standard, 9.2.6, as far as Cog uses it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from halley.egress import EgressResponse
from halley.egress.errors import TooLarge
from halley.providers.services.answers import Body, is_large, read_object

_CONTENT: Final = b"data"
_MOST_LINES: Final = 10_000  # of one event; Cog writes two or three
_AT_ONCE: Final = 200  # events, between which other work continues


class StreamEvent(msgspec.Struct, frozen=True):
    """One event. `data` is a JSON object, {} if it is anything else; `is_large`: it takes long to look through it."""

    name: str
    data: Body
    is_large: bool = False


async def read_events(chunks: AsyncIterator[bytes], limit_bytes: int) -> AsyncIterator[StreamEvent]:
    """The events of a stream, until it ends.

    Raises:
        TooLarge: one of them is longer than `limit_bytes`, or has too many values or lines.
    """
    held, half, number = bytearray(), b"", 0
    async for part in chunks:
        chunk = half + part
        half = b"\r" if chunk.endswith(b"\r") else b""  # the rest of a line's end may come with the next chunk
        chunk = chunk.removesuffix(b"\r")
        seen = max(len(held) - 1, 0)
        held += chunk.replace(b"\r\n", b"\n") if b"\r" in chunk else chunk
        while (end := held.find(b"\n\n", seen)) >= 0:
            block = bytes(held[:end])
            del held[: end + 2]
            seen, number = 0, number + 1
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if (event := await _read(block)) is not None:
                yield event
        if len(held) > limit_bytes:
            raise TooLarge(f"An event is larger than the limit of {limit_bytes} bytes.")


async def _read(block: bytes) -> StreamEvent | None:
    if block.count(b"\n") > _MOST_LINES:
        raise TooLarge(f"An event has more than {_MOST_LINES:,} lines.")
    name, data = b"message", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value
        elif field == _CONTENT:
            data.append(value)
    if not data:
        return None  # a comment that keeps the connection
    content = EgressResponse(status=200, headers={}, body=b"\n".join(data))
    found: Body = await read_object(content, has_envelope=False) or {}
    return StreamEvent(name.decode("utf-8", "replace"), found, is_large(content))
