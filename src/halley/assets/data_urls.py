"""`data:` URLs: bytes inside a string. Source: RFC 2397."""

import base64
import binascii
import re
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

import msgspec

from halley.errors import Refused, TooLarge

_PREFIX: Final = re.compile(r"data:", re.IGNORECASE)
_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}", re.ASCII)
_PADDING: Final = 3  # characters by which base64 may be longer than its bytes tell


class DataUrl(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of a `data:` URL. `content_type` is lower case without parameters; `name` is "" mostly."""

    data: bytes
    content_type: str
    name: str


def is_data_url(text: str) -> bool:
    """Whether the text begins like a `data:` URL, in any case of letters."""
    return _PREFIX.match(text) is not None


def decode_data_url(text: str, limit_bytes: int) -> DataUrl:
    """Read a `data:` URL; its size is known, and refused, before anything is decoded.

    Raises:
        TooLarge: more than `limit_bytes` when decoded.
        Refused: it is malformed; the message says where.
    """
    head, comma, body = text[5:].partition(",")
    if not comma:
        raise Refused("the data: URL has no comma before its data")
    first, *parameters = head.split(";")
    content_type = first.strip().lower() or "text/plain"
    if not _TYPE.fullmatch(content_type):
        raise Refused("the data: URL has no valid media type, such as image/png")
    is_base64 = bool(parameters) and parameters[-1].strip().lower() == "base64"
    data = _base64(body, limit_bytes) if is_base64 else _percent(body, limit_bytes)
    return DataUrl(data=data, content_type=content_type, name=_name(parameters))


def _base64(body: str, limit_bytes: int) -> bytes:
    if len(body) * 3 // 4 - _PADDING > limit_bytes and "%" not in body:
        raise _too_large(limit_bytes)
    if "%" in body:
        body = unquote(body)
    # the URL-safe letters appear in the wild, and a missing padding loses nothing
    plain = body.translate({45: "+", 95: "/"}).rstrip("=")
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("the data: URL is not valid base64") from error
    if len(data) > limit_bytes:
        raise _too_large(limit_bytes)
    return data


def _percent(body: str, limit_bytes: int) -> bytes:
    if len(body) - 2 * body.count("%") > limit_bytes:
        raise _too_large(limit_bytes)
    data = unquote_to_bytes(body)
    if len(data) > limit_bytes:
        raise _too_large(limit_bytes)
    return data


def _name(parameters: list[str]) -> str:
    # not in the RFC; some clients add it, and a model likes a true name
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() in ("name", "filename"):
            return unquote(value.strip().strip('"'), errors="replace")
    return ""


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(
        f"the data: URL holds more than {limit_bytes} bytes (setting limits.inline_data_bytes); upload the file instead"
    )
