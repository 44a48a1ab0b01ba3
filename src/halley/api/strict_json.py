"""JSON at the door: what two parsers could read in two ways, and what could not be written out again, is refused.

The decoder itself refuses NaN, other encodings, bad UTF-8, lone surrogates and raw control characters. What it lets
pass is looked for here in one walk over the text without its strings: depth, duplicate names, NUL, huge integers.

Source: design section 7, limits; contract section 16, points 5 and 6.
"""

import re
from typing import Any, Final

import msgspec

from halley.api.problems import invalid
from halley.errors import BadRequest, TooLarge

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_LONG: Final = re.compile(rb"(?<![\d.eE+\-])-?\d{19,}(?![\d.eE])")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**64 - 1

decode: Final = msgspec.json.Decoder().decode


def parse(body: bytes, *, limit_bytes: int, max_depth: int) -> Any:
    """The value of a JSON text.

    Raises:
        TooLarge: longer than `limit_bytes`.
        BadRequest: not JSON, or JSON that is not safe to keep.
        InputInvalid: an integer that does not fit into 64 bits.
    """
    if len(body) > limit_bytes:
        raise too_large(limit_bytes)
    bare = _STRING.sub(b"", body)
    if bare.count(b"{") + bare.count(b"[") > max_depth and _is_deeper(bare, max_depth):
        raise BadRequest(
            f"The JSON body is nested deeper than {max_depth} levels (setting limits.json_depth), "
            "or its brackets do not match."
        )
    value = _decoded(body)
    if b"\\u0000" in body and _NUL.search(body):
        raise BadRequest("The JSON body holds the character NUL (\\u0000), which cannot be stored.")
    if _members(value, bare.count(b"{")) != bare.count(b":"):
        raise BadRequest("An object in the JSON body has the same name twice.")
    if not all(_fits(number[0]) for number in _LONG.finditer(bare)):
        raise invalid("integer", "input", "an integer does not fit into 64 bits; send it as a string or a float")
    return value


def too_large(limit_bytes: int) -> TooLarge:
    """The refusal of a body over the limit."""
    return TooLarge(f"The body is larger than {limit_bytes} bytes (setting limits.json_body_bytes).")


def _decoded(body: bytes) -> Any:
    try:
        return decode(body)
    except UnicodeDecodeError as error:
        raise BadRequest("The body is not UTF-8.") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {error}") from error


def _is_deeper(bare: bytes, max_depth: int) -> bool:
    """Whether the brackets nest deeper, or do not match (then it is no JSON either)."""
    rest = bare.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(max_depth):  # each round takes off the innermost level
        shorter = rest.replace(b"[]", b"")
        if len(shorter) == len(rest):
            break
        rest = shorter
    return len(rest) > 0


def _members(value: Any, objects: int) -> int:
    """How many names the objects inside have in all; stops once it has seen that many objects."""
    count = 0
    waiting = [value]
    while waiting and objects:
        node = waiting.pop()
        if type(node) is dict:
            objects -= 1
            count += len(node)
            waiting.extend([item for item in node.values() if type(item) is dict or type(item) is list])
        elif type(node) is list:
            waiting.extend([item for item in node if type(item) is dict or type(item) is list])
    return count


def _fits(number: bytes) -> bool:
    return len(number) <= 21 and _MIN_INTEGER <= int(number) <= _MAX_INTEGER
