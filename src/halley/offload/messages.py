"""What the server asks its JSON process, and the answers: one MessagePack value after its length.

The large value of a question follows it, unchanged, after its own length: the server does not copy it to send it. The
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
    """Read the body of a create; its members come back without what is large."""

    body: bytes = b""
    json_body_bytes: int
    json_depth: int
    json_values: int
    inline_data_bytes: int
    digest_head: bytes | None = None  # what an idempotency key's digest begins with; None: there is no key


class Examine(_Message, frozen=True, kw_only=True):
    """Look at an input as a version's schema wants it."""

    input_json: bytes = b""
    version: str
    document: bytes  # empty: the version is not described yet
    strict: bool
    most: int
    inline_data_bytes: int


class Unfit(_Message, frozen=True, kw_only=True):
    """Whether a value of a model can be kept."""

    value: bytes = b""


class Texts(_Message, frozen=True, kw_only=True):
    """The texts at some places of a value; None where there is none."""

    value: bytes = b""
    pointers: tuple[Pointer, ...]


class Links(_Message, frozen=True, kw_only=True):
    """The texts in the positions of files of an input, whole."""

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
    """The caller's fault, as an error of ours."""

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
    """The question with its large value."""
    request: Request = decode_request(head)
    whole: Request = msgspec.structs.replace(request, **{_LARGE[type(request)]: bytes(value)})
    return whole


def failed(error: HalleyError) -> Failed:
    """The error as a reply."""
    fields = error.fields if isinstance(error, InputInvalid) else ()
    return Failed(code=error.code, message=str(error), fields=fields)


def error_of(reply: Failed) -> HalleyError:
    """The error that a reply tells."""
    if reply.code == InputInvalid.code:
        return InputInvalid(reply.fields)
    return _ERRORS.get(reply.code, Refused)(reply.message)
