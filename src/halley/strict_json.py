"""Strict JSON input: refuses text that parsers may read differently, or that cannot be written again.

The decoder itself refuses NaN, other encodings, bad UTF-8, lone surrogates and raw control characters. The rest is
checked here in the text without its strings: number of values, depth, duplicate names, NUL, huge integers. Each step
takes linear time, and the number of values is known before anything is decoded.

Source: design section 7, limits; contract section 16, points 5 and 6.
"""

import re
from typing import Any, Final, Protocol

import msgspec

from halley.errors import BadRequest, EncodingUnsupported, HalleyError, InputInvalid, InvalidField, TooLarge

HEAVY_BYTES: Final = 2**20
HEAVY_VALUES: Final = 4000  # decoded and checked in about 5 ms at worst
LIGHT_BYTES: Final = 2 * HEAVY_VALUES  # too short for so many values

_SHOWN_BYTES: Final = 100_000
DEPTH: Final = 64  # of JSON that does not come from clients; for clients limits.json_depth is the limit

_DIGITS: Final = re.compile(rb"\d{19}")
# Escapes are removed before, so that a string ends at the next quote. An unterminated string must match as well:
# otherwise the search would start again at each later quote.
_STRING: Final = re.compile(rb'"[^"]*"?')
_LONG: Final = re.compile(rb"(?<![\d.eE+\-])-?\d{19,}(?![\d.eE])")
_SPACE: Final = b" \t\r\n"
_COMPRESSED: Final = {  # first bytes of compressed formats
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x78\x01": "deflate",
    b"\x78\x9c": "deflate",
    b"\x78\xda": "deflate",
}
_PAIR_BYTES: Final = 12
_HALF_PAIR: Final = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**64 - 1

decode: Final = msgspec.json.Decoder().decode


class JsonLimits(Protocol):
    """The limits of a JSON text; `settings.LimitSettings` has these members."""

    @property
    def json_body_bytes(self) -> int: ...

    @property
    def json_depth(self) -> int: ...

    @property
    def json_values(self) -> int: ...


def parse(body: bytes, limits: JsonLimits) -> Any:
    """The value of a JSON text.

    Raises:
        TooLarge: too long, or too many values.
        BadRequest: not JSON, or JSON that is not safe to store.
        InputInvalid: an integer that does not fit into 64 bits.
    """
    size, most_values = len(body), limits.json_values
    if size > limits.json_body_bytes:
        raise too_large(limits.json_body_bytes)
    has_escapes = b"\\" in body
    text = without_escapes(body) if has_escapes else body
    # that many strings exceed the limit in any case; the search need not collect them
    if size > most_values and text.count(b'"') > 4 * most_values:
        raise _too_many(most_values)
    bare = without_strings(text)
    objects = bare.count(b"{")
    # a short text cannot have too many values
    if len(bare) >= most_values or objects + bare.count(b"[") > limits.json_depth:
        _check_counts(bare, limits)
    try:
        value = decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise _refused(body, error) from error
    if has_escapes and b"\\u0000" in text:
        raise BadRequest("The JSON body contains the character NUL (\\u0000), which cannot be stored.")
    if _members(value, objects) != bare.count(b":"):
        raise BadRequest("An object in the JSON body has the same key twice.")
    if _LONG.search(bare) is not None and not _all_fit(bare):
        fault = "an integer is larger than 64 bits; send it as a string or a float"
        raise InputInvalid((InvalidField(type="integer", field="input", description=fault),))
    return value


def too_large(limit_bytes: int) -> TooLarge:
    """The error for a body over the limit."""
    return TooLarge(f"The body is larger than {limit_bytes} bytes (setting limits.json_body_bytes).")


def is_heavy(text: bytes) -> bool:
    """Whether decoding and checking this JSON text may take more than a few milliseconds. Cheap for short texts.

    A value that is not the first of its list or object has a comma before it; a comma inside a string counts as well.
    """
    if len(text) <= LIGHT_BYTES:
        return False
    return len(text) > HEAVY_BYTES or text.count(b",") + text.count(b"[") + text.count(b"{") > HEAVY_VALUES


def unfit(text: bytes) -> str | None:
    """Why a JSON text of a model cannot be stored, as the second half of a sentence; None if it can."""
    if text.startswith(b'"'):  # a string
        return None
    may_be_deep = text.count(b"{") + text.count(b"[") > DEPTH
    if not may_be_deep and _DIGITS.search(text) is None:
        return None
    bare = _STRING.sub(b'"', without_escapes(text))
    if may_be_deep and _nests_deeper(bare, DEPTH):
        return f"is nested more than {DEPTH} levels deep"
    if not _all_fit(bare):
        return "contains an integer larger than 64 bits"
    return None


def beginning(text: bytes) -> str:
    """The part of a large text that is shown, without decoding the text."""
    if len(text) <= _SHOWN_BYTES:
        return text.decode()
    return f"{text[:_SHOWN_BYTES].decode('utf-8', 'ignore')}\n... ({len(text)} bytes in all)"


def repeats_a_name(text: bytes, value: Any) -> bool:
    """Whether an object in the JSON text, whose value this is, has the same name twice: the value has the last one."""
    bare = without_strings(without_escapes(text))
    return _members(value, bare.count(b"{")) != bare.count(b":")


def is_deeper(text: bytes, depth: int) -> bool:
    """Whether a JSON text nests lists and objects deeper than this."""
    if text.count(b"{") + text.count(b"[") <= depth:
        return False
    return _nests_deeper(_STRING.sub(b'"', without_escapes(text)), depth)


def without_strings(text: bytes) -> bytes:
    """The text with each string as one quote; one that is not terminated ends with the text.

    Escapes were removed before.
    """
    if len(text) > LIGHT_BYTES:
        return _STRING.sub(b'"', text)
    return b'"'.join(text.split(b'"')[::2])  # twice as fast, but all strings are copied


def without_escapes(text: bytes) -> bytes:
    """The text without escaped quotes and backslashes: then each quote begins or ends a string."""
    return text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text


def _check_counts(bare: bytes, limits: JsonLimits) -> None:
    opened = bare.count(b"{") + bare.count(b"[")
    values = 1 + bare.count(b",") + opened
    if values > limits.json_values:  # each list and object was counted as if it had a member
        dense = bare.translate(None, _SPACE)
        if values - dense.count(b"[]") - dense.count(b"{}") > limits.json_values:
            raise _too_many(limits.json_values)
    if opened > limits.json_depth and _nests_deeper(bare, limits.json_depth):
        raise BadRequest(
            f"The JSON body is nested deeper than {limits.json_depth} levels (setting limits.json_depth), "
            "or its brackets do not match."
        )


def _too_many(limit: int) -> TooLarge:
    return TooLarge(
        f"The JSON body holds more than {limit} values (setting limits.json_values). "
        "Upload large data as a file with POST /v1/files and pass its URL."
    )


def _refused(body: bytes, error: Exception) -> HalleyError:
    """The error for a text that the decoder refused."""
    for beginning, name in _COMPRESSED.items():
        if body.startswith(beginning):
            return EncodingUnsupported(f"The body is compressed ({name}): send it as it is.")
    return BadRequest(f"The body is not JSON: {_fault_of(body, error)}.")


def _fault_of(body: bytes, error: Exception) -> str:
    """What is wrong with a text that the decoder refused, if the decoder's message does not say it."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if body.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in body[:2]:  # JSON begins with two ASCII characters
        return "it is UTF-16; send UTF-8"
    if body.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark; send UTF-8 without one"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if body[:64].lstrip().startswith(b"--"):
        return 'it looks like a form; send an object such as {"input": {}}'
    said = str(error)
    # for a lone surrogate near the end, the decoder reports that the text is truncated
    if "surrogate" in said or ("truncated" in said and _HALF_PAIR.search(body[-_PAIR_BYTES:])):
        return "a string holds a lone surrogate (half of a pair such as \\ud83d\\ude00), which is not a character"
    return said


def _nests_deeper(bare: bytes, max_depth: int) -> bool:
    """Whether the brackets nest deeper, or do not match (then it is not JSON either)."""
    rest = bare.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(max_depth):  # each pass removes the innermost level
        shorter = rest.replace(b"[]", b"")
        if len(shorter) == len(rest):
            break
        rest = shorter
    return len(rest) > 0


def _members(value: Any, objects: int) -> int:
    """The number of names in all objects inside; stops after `objects` objects."""
    count = 0
    waiting = [value] if objects else []
    while waiting:
        node = waiting.pop()
        if type(node) is dict:
            count += len(node)
            objects -= 1
            if not objects:
                break
            node = node.values()
        elif type(node) is not list:
            continue
        for item in node:
            if type(item) is dict or type(item) is list:
                waiting.append(item)  # noqa: PERF401 - a comprehension is a call in Python 3.11
    return count


def _all_fit(bare: bytes) -> bool:
    return all(_fits(number[0]) for number in _LONG.finditer(bare))


def _fits(number: bytes) -> bool:
    return len(number) <= 21 and _MIN_INTEGER <= int(number) <= _MAX_INTEGER
