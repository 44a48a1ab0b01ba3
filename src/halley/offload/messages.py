"""Requests to the JSON process, and its replies: one MessagePack value after its length.

The large value of a request follows unchanged, after its own length, so that the server does not copy it. The request's
member for it is empty until it has arrived.
"""

from struct import Struct
from typing import Final

import msgspec

from halley.errors import BadRequest, HalleyError, InputInvalid, InvalidField, Refused, TooLarge
from halley.predictions.large import BodyOutline, Findings, Link, Pointer

LENGTH: Final = Struct("<Q")


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pass


class Parse(_Message, frozen=True, kw_only=True):
    """Parse the body of a create; the reply has its members without the large ones."""

    body: bytes = b""
    json_body_bytes: int
    json_depth: int
    json_values: int
    inline_data_bytes: int
    digest_head: bytes | None = None  # the beginning of an idempotency key's digest; None: there is no key


class Examine(_Message, frozen=True, kw_only=True):
    """Check an input against a version's schema."""

    input_json: bytes = b""
    version: str
    document: bytes  # empty: the version has no schema yet
    strict: bool
    most: int
    inline_data_bytes: int


class Unfit(_Message, frozen=True, kw_only=True):
    """Whether a value of a model can be stored."""

    value: bytes = b""


class Texts(_Message, frozen=True, kw_only=True):
    """The texts at some places of a value; None where there is no text."""

    value: bytes = b""
    pointers: tuple[Pointer, ...]


class Links(_Message, frozen=True, kw_only=True):
    """The texts in file positions of an input, in full."""

    input_json: bytes = b""
    version: str
    document: bytes


class Fill(_Message, frozen=True, kw_only=True):
    """Put texts into a value."""

    value: bytes = b""
    texts: tuple[Link, ...]


class Parsed(_Message, frozen=True, kw_only=True):
    outline: BodyOutline


class Examined(_Message, frozen=True, kw_only=True):
    findings: Findings


class FoundTexts(_Message, frozen=True, kw_only=True):
    texts: tuple[str | None, ...]


class Linked(_Message, frozen=True, kw_only=True):
    links: tuple[Link, ...]


class Judged(_Message, frozen=True, kw_only=True):
    fault: str | None


class Filled(_Message, frozen=True, kw_only=True):
    value: bytes


class Failed(_Message, frozen=True, kw_only=True):
    """An error of ours that the caller caused."""

    code: str
    message: str
    fields: tuple[InvalidField, ...] = ()


Request = Parse | Examine | Unfit | Texts | Links | Fill
Reply = Parsed | Examined | FoundTexts | Linked | Judged | Filled | Failed

_LARGE: Final[dict[type[Request], str]] = {
    Parse: "body",
    Examine: "input_json",
    Unfit: "value",
    Texts: "value",
    Links: "input_json",
    Fill: "value",
}

encode: Final = msgspec.msgpack.Encoder().encode
decode_request: Final = msgspec.msgpack.Decoder(Request).decode
decode_reply: Final = msgspec.msgpack.Decoder(Reply).decode

_ERRORS: Final[dict[str, type[HalleyError]]] = {kind.code: kind for kind in (BadRequest, TooLarge, Refused)}


def joined(head: bytearray, value: bytearray) -> Request:
    """The request with its large value."""
    request: Request = decode_request(head)
    whole: Request = msgspec.structs.replace(request, **{_LARGE[type(request)]: bytes(value)})
    return whole


def failed(error: HalleyError) -> Failed:
    """The error as a reply."""
    fields = error.fields if isinstance(error, InputInvalid) else ()
    return Failed(code=error.code, message=str(error), fields=fields)


def error_of(reply: Failed) -> HalleyError:
    """The error in a reply."""
    if reply.code == InputInvalid.code:
        return InputInvalid(reply.fields)
    return _ERRORS.get(reply.code, Refused)(reply.message)
