"""Limits of the JSON that a model may return: depth, and integers of 64 bits. Every client can read what is within
them.
"""

from __future__ import annotations

import re
from typing import Optional

DEPTH_LIMIT = 64  # the limit of the server for JSON from clients

_STRING = re.compile(r'"[^"]*"')
_BRACKETS = re.compile(r"[^\[\]{}]+")
_LONG = re.compile(r"(?<![\d.eE+\-])-?\d{19,}(?![\d.eE])")
_DIGITS = re.compile(r"\d{19}")
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1


def fault(text: str) -> Optional[str]:
    """Why this JSON text cannot be stored, as the second half of a sentence; None if it can. Takes linear time."""
    may_be_deep = text.count("[") + text.count("{") > DEPTH_LIMIT
    if not may_be_deep and _DIGITS.search(text) is None:
        return None
    bare = _STRING.sub('"', text.replace("\\\\", "").replace('\\"', "") if "\\" in text else text)
    if may_be_deep and _is_deep(bare):
        return "is nested more than %d deep" % DEPTH_LIMIT
    for number in _LONG.finditer(bare):
        if len(number.group()) > 20 or not _MIN_INTEGER <= int(number.group()) <= _MAX_INTEGER:
            return "holds an integer beyond 64 bits; return it as text"
    return None


def _is_deep(bare: str) -> bool:
    rest = _BRACKETS.sub("", bare).replace("{", "[").replace("}", "]")
    for _ in range(DEPTH_LIMIT):  # each pass removes the innermost level
        shorter = rest.replace("[]", "")
        if len(shorter) == len(rest):
            break
        rest = shorter
    return bool(rest)
