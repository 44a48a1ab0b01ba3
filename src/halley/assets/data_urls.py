"""Reads `data:` URLs: bytes inside a string. Source: RFC 2397, and what Python's urllib accepts beyond it.

Decodes in slices: one call for the whole text would block the interpreter for its whole duration.
"""

import binascii
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

import msgspec

from halley.assets.fields import last_part
from halley.assets.media import HEAD_BYTES, media_type
from halley.errors import Refused, TooLarge

HEAD_LIMIT: Final = 8192  # characters before the comma: a media type and some parameters
_PREFIX: Final = re.compile(r"\s{0,16}data:", re.IGNORECASE)
_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}", re.ASCII)
_NO_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SLICE: Final = 2**17  # characters; a multiple of 4
_PADDING: Final = 3  # base64 may have so many characters more than its bytes need
_BAD_BASE64: Final = "the data: URL is not valid base64"
_SPACES: Final = b" \t\r\n\f\v"
_PLAIN_LETTERS: Final = bytes.maketrans(b"-_", b"+/")  # URL-safe letters are common in practice


class DataUrl(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of a `data:` URL. `content_type` is lower case without parameters; `name` is usually ""."""

    data: bytes
    content_type: str
    name: str


class _Parts(msgspec.Struct, frozen=True):
    content_type: str  # "" for an invalid one, such as `None`
    name: str
    is_base64: bool
    body: str


def is_data_url(text: str) -> bool:
    """Whether the text begins like a `data:` URL, in upper or lower case."""
    return _PREFIX.match(text) is not None


def decode_data_url(text: str, limit_bytes: int) -> DataUrl:
    """Decode a `data:` URL. If its size is certainly over the limit, it is refused before decoding.

    Raises:
        TooLarge: more than `limit_bytes` when decoded.
        Refused: it is malformed; the message says at which place.
    """
    parts = _parts(text)
    data = bytearray()
    for piece in _pieces(parts, limit_bytes):
        data += piece
    return DataUrl(
        data=bytes(data),
        # clients that do not know the type write `None` there; the type is then found from the bytes
        content_type=parts.content_type or media_type(parts.name, bytes(data[:HEAD_BYTES])),
        name=parts.name,
    )


def check_data_url(text: str, limit_bytes: int) -> None:
    """Refuse what `decode_data_url` would refuse.

    Raises:
        TooLarge, Refused: as there.
    """
    for _ in _pieces(_parts(text), limit_bytes):
        pass


def least_size(text: str) -> int:
    """The smallest number of bytes that a `data:` URL can contain, without decoding it."""
    comma = text.find(",", 0, HEAD_LIMIT)
    if comma < 0:
        return 0
    if not text[:comma].rstrip().lower().endswith("base64"):
        return max(0, len(text) - comma - 1 - 2 * text.count("%"))
    fragment = text.find("#", comma)
    # a percent escape may stand for a space, which does not count
    size = (len(text) if fragment < 0 else fragment) - comma - 1 - 3 * text.count("%")
    skipped = sum(text.count(sign, comma) for sign in "\n\r \t\f\v=")
    # a fragment of that form is found later
    return 0 if "%23" in text else max(0, (size - skipped) * 3 // 4 - _PADDING)


def too_large(limit_bytes: int) -> TooLarge:
    """The error for a `data:` URL over the limit."""
    return TooLarge(
        f"the data: URL holds more than {limit_bytes} bytes (setting limits.inline_data_bytes); "
        "upload the file with POST /v1/files and pass its URL"
    )


def _parts(text: str) -> _Parts:
    start = text.index(":", 0, 32) + 1
    comma = text.find(",", start, start + HEAD_LIMIT)
    if comma < 0:
        raise Refused("the data: URL has no comma before its data")
    first, *parameters = text[start:comma].split(";")
    content_type = first.strip().lower() or "text/plain"
    return _Parts(
        content_type=content_type if _TYPE.fullmatch(content_type) else "",
        name=_name(parameters),
        is_base64=bool(parameters) and parameters[-1].strip().lower() == "base64",
        body=text[comma + 1 :],
    )


def _pieces(parts: _Parts, limit_bytes: int) -> Iterator[bytes]:
    """The decoded bytes; at most one slice beyond the limit."""
    escapes = parts.body.count("%")
    least = len(parts.body) - 2 * escapes
    if not parts.is_base64 and least > limit_bytes:
        raise too_large(limit_bytes)
    raw = _unescaped(parts.body) if escapes else _encoded(parts.body)
    size = 0
    for piece in _from_base64(raw) if parts.is_base64 else raw:
        size += len(piece)
        if size > limit_bytes:
            raise too_large(limit_bytes)
        yield piece


def _encoded(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), _SLICE):
        yield text[start : start + _SLICE].encode("utf-8", "replace")


def _unescaped(text: str) -> Iterator[bytes]:
    """Percent-decoding as in urllib; an escape is never split between two slices."""
    start = 0
    while start < len(text):
        piece = text[start : start + _SLICE]
        cut = piece.rfind("%", len(piece) - 2) if len(piece) == _SLICE else -1
        piece = piece if cut < 0 else piece[:cut]
        start += len(piece)
        yield _unquoted(piece.encode("utf-8", "replace"))


def _unquoted(piece: bytes) -> bytes:
    if _NO_ESCAPE.search(piece):
        return unquote_to_bytes(piece)
    # the same result as unquote_to_bytes, 20 times faster: quoted-printable differs only in its escape character
    return binascii.a2b_qp(piece.replace(b"=", b"%3D").replace(b"%", b"="))


def _from_base64(raw: Iterator[bytes]) -> Iterator[bytes]:
    """Spaces and line breaks are ignored, padding may be missing, and a fragment is not part of the data."""
    rest = b""
    ending = b""  # what came after the first padding character
    for piece in raw:
        letters, mark, _ = piece.translate(_PLAIN_LETTERS, _SPACES).partition(b"#")
        plain, padding, after = (rest, ending, letters) if ending else (rest + letters).partition(b"=")
        ending = padding + after.strip(b"=")
        if len(ending) > 1:
            raise Refused(_BAD_BASE64)  # there is data after its padding
        whole = len(plain) // 4 * 4
        rest = plain[whole:]
        yield _strict(plain[:whole])
        if mark:
            break
    if len(rest) == 1:
        raise Refused(_BAD_BASE64)  # it ends inside a byte
    yield _strict(rest + b"=" * (-len(rest) % 4))


def _strict(groups: bytes) -> bytes:
    try:
        return binascii.a2b_base64(groups, strict_mode=True) if groups else b""
    except binascii.Error as error:
        raise Refused(_BAD_BASE64) from error


def _name(parameters: list[str]) -> str:
    # not in the RFC; some clients add it, and a model may use the real name
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() in ("name", "filename"):
            return last_part(unquote(value.strip().strip('"'), errors="replace"))
    return ""
