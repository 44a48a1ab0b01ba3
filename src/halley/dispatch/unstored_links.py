"""Shows the owner the links of an output whose files could not be stored here: the service may still have the files."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from halley.dispatch.ports import OutputPart, Pointer
from halley.predictions.records import NotKept
from halley.strict_json import HEAVY_BYTES

MOST: Final = 20
_LONGEST: Final = 2048  # characters


def output_not_kept(part: OutputPart, error: str) -> bytes | None:
    """The data of the event OUTPUT_NOT_KEPT; None if the output has no link that can be shown."""
    if not part.links or len(part.value) > HEAVY_BYTES:
        return None
    urls = tuple(_urls(msgspec.json.decode(part.value), part.links[:MOST]))
    return msgspec.json.encode(NotKept(urls=urls, error=error)) if urls else None


def _urls(value: Any, links: tuple[Pointer, ...]) -> Iterator[str]:
    for pointer in links:
        found = value
        for step in pointer:
            found = found[step]
        if found.startswith("http") and len(found) <= _LONGEST:
            yield found
