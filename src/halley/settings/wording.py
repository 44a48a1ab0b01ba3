"""Says in plain words why a value of a setting is not valid: the library names types of a program."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, get_args, get_origin

_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_TYPES: Final = re.compile(r"`(\w+(?: \| \w+)*)`")
_BOUNDS: Final = {"<=": "of at most", ">=": "of at least", "<": "below", ">": "above"}
_BOUND: Final = re.compile(r" (<=|>=|<|>) (-?[\d.]+)")
_PLACE: Final = re.compile(r" - at `[^`]*`")


def why_not(fault: Exception, kind: Any) -> str:
    """What a value of this kind must be, without a dot at its end; `fault` is what the check said."""
    text = str(fault)
    if choices := _choices(kind):
        return f"choose one of {', '.join(choices)}"
    text = _PLACE.sub("", text)
    text = _TYPES.sub(lambda found: " or ".join(_WORDS.get(word, word) for word in found[1].split(" | ")), text)
    text = _BOUND.sub(lambda found: f" {_BOUNDS[found[1]]} {found[2].removesuffix('.0')}", text)
    return f"{text[:1].lower()}{text[1:]}"


def _choices(kind: Any) -> list[str]:
    """The words that a setting may be; empty if it is of another kind."""
    kinds = [kind, *get_args(kind)]
    return [f'"{word}"' for one in kinds if get_origin(one) is Literal for word in get_args(one)]
