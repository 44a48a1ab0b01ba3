"""Inputs and outputs that are too large to be decoded here, and who does it elsewhere (offload fills the protocols)."""

from collections.abc import Sequence
from typing import Final, Literal, Protocol

import msgspec

from halley.errors import InvalidField
from halley.strict_json import JsonLimits

LINKS_LIMIT: Final = 10_000  # files of one input

Pointer = tuple[str | int, ...]
"""Where a value sits inside a JSON value: member names and list indexes from the top."""

Link = tuple[Pointer, str]
"""A text and its place."""

Json = bytes | msgspec.Raw
"""A JSON text; as `Raw` it may be a part of something larger, which is not copied."""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in an input. `shown` is the JSON that may be seen, None where it holds no secret."""

    faults: tuple[InvalidField, ...] = ()
    unknown: tuple[str, ...] = ()  # some of the names that the version does not know
    shown: bytes | None = None
    links: tuple[Link, ...] = ()  # what stands in positions of files


class BodyOutline(msgspec.Struct, frozen=True, kw_only=True):
    """A create's body without what is large. The input, if it is an object, is the body's bytes `start` to `end`.

    `digest` is that of the members as an idempotency key compares them, None where it was not asked for; `body_digest`
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
    """Looks at inputs. May raise Overloaded."""

    async def examine(self, version: str, document: bytes, input_json: bytes, *, strict: bool, most: int) -> Findings:
        """What `predictions.inputs.look` finds; `document` is empty for a version that is not described yet."""
        ...


class LargeValues(Protocol):
    """Reads and changes texts inside JSON values. May raise Overloaded."""

    async def links(self, version: str, document: bytes, input_json: bytes) -> Sequence[Link]:
        """What stands in the positions of files; one more than LINKS_LIMIT at most."""
        ...

    async def unfit(self, value: Json) -> str | None:
        """See `strict_json.unfit`."""
        ...

    async def texts(self, value: Json, pointers: Sequence[Pointer]) -> Sequence[str | None]:
        """The texts at these places; None where there is none."""
        ...

    async def fill(self, value: Json, texts: Sequence[Link]) -> bytes:
        """The value with other texts at these places."""
        ...
