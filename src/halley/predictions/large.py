"""Protocols for inputs and outputs that are too large to be decoded in this process (implemented by `offload`)."""

from collections.abc import Sequence
from typing import Final, Literal, Protocol

import msgspec

from halley.errors import InvalidField
from halley.strict_json import JsonLimits

LINKS_LIMIT: Final = 10_000  # files of one input

Pointer = tuple[str | int, ...]
"""The place of a value inside a JSON value: member names and list indexes from the top."""

Link = tuple[Pointer, str]
"""A text and its place."""

Json = bytes | msgspec.Raw
"""A JSON text; as `Raw` it may be a part of something larger, which is not copied."""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The result of checking an input. `shown` is the JSON that may be shown, None if it contains no secret."""

    faults: tuple[InvalidField, ...] = ()
    unknown: tuple[str, ...] = ()  # some of the names that the version does not know
    shown: bytes | None = None
    links: tuple[Link, ...] = ()  # the strings in file positions


class BodyOutline(msgspec.Struct, frozen=True, kw_only=True):
    """A create's body without its large values. The input, if it is an object, is the body's bytes `start` to `end`.

    `digest` is that of the members as an idempotency key compares them, None if it was not requested; `body_digest` is
    that of the bytes.
    """

    members: bytes
    input_kind: Literal["object", "absent", "other"]
    start: int
    end: int
    digest: bytes | None
    body_digest: bytes


class LargeBodies(Protocol):
    """Reads the bodies of creates. May raise Overloaded."""

    async def parse(self, body: bytes, limits: JsonLimits, *, digest_head: bytes | None) -> BodyOutline:
        """Read the body; it must be an object. Raises as `strict_json.parse` does, and TooLarge for a `data:` URL."""
        ...


class LargeInputs(Protocol):
    """Checks inputs. May raise Overloaded."""

    async def examine(self, version: str, document: bytes, input_json: bytes, *, strict: bool, most: int) -> Findings:
        """The result of `predictions.inputs.look`; `document` is empty for a version without a schema yet."""
        ...


class LargeValues(Protocol):
    """Reads and changes texts inside JSON values. May raise Overloaded."""

    async def links(self, version: str, document: bytes, input_json: bytes) -> Sequence[Link]:
        """The strings in file positions; at most one more than LINKS_LIMIT."""
        ...

    async def unfit(self, value: Json) -> str | None:
        """See `strict_json.unfit`."""
        ...

    async def texts(self, value: Json, pointers: Sequence[Pointer]) -> Sequence[str | None]:
        """The texts at these places; None where there is no text."""
        ...

    async def fill(self, value: Json, texts: Sequence[Link]) -> bytes:
        """The value with these texts at their places."""
        ...
