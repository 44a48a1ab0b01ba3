"""JSON pointers: where a value is in an answer. Source: RFC 6901.

Reading is linear in the length of the pointer and of what is read: there are no wildcards and no expressions.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

MOST_STEPS: Final = 32
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_ESCAPE: Final = re.compile(r"~(?![01])")
_OTHER_FORM: Final = re.compile(r"(?:\$\.?|#/?)?[\w\-\[\].]+", re.ASCII)

Steps = tuple[str, ...]


class ValuePlace(msgspec.Struct, frozen=True):
    """Where a value is: at the pointer `at`; then at `json` inside the JSON text there; then at `each` in each item of
    the list there.
    """

    at: Steps
    json: Steps | None = None
    each: Steps | None = None

    def find(self, value: Any) -> Any:
        """The value there; None if there is none, or null."""
        found = find(value, self.at)
        if self.json is not None:
            found = find(_decoded(found), self.json)
        if self.each is not None:
            items = [find(item, self.each) for item in found] if isinstance(found, list) else []
            return [item for item in items if item is not None] or None
        return found


Places = tuple[ValuePlace, ...]
"""Alternatives: the first with a value counts."""


def first_of(places: Places, value: Any) -> Any:
    """The value at the first place that has one; None if none has."""
    return next((found for place in places if (found := place.find(value)) is not None), None)


def parse_pointer(text: str) -> Steps:
    """The steps of a pointer.

    Raises:
        ValueError: it is not a pointer; the message suggests one.
    """
    if text and not text.startswith("/"):
        hint = f" Did you mean {_as_pointer(text)!r}?" if _OTHER_FORM.fullmatch(text) else ""
        raise ValueError(f"{text!r} is no JSON pointer, which begins with a slash.{hint}")
    if _ESCAPE.search(text):
        raise ValueError(f"{text!r} is no JSON pointer: ~ is written as ~0 there, and / in a name as ~1.")
    steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])
    if len(steps) > MOST_STEPS:
        raise ValueError(f"{text[:50]!r}... has more than {MOST_STEPS} steps.")
    return steps


def find(value: Any, steps: Sequence[str]) -> Any:
    """The value at the end of the steps; None if there is no value, or null."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _decoded(value: Any) -> Any:
    """The value of a JSON text; a value that is not a text is returned as it is."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _as_pointer(text: str) -> str:
    """The pointer that was meant by `data.items[0].id`, `$.data.id` or `#/data/id`."""
    steps = re.findall(r"[\w\-]+", text.removeprefix("$").removeprefix("#"))
    return "".join(f"/{step}" for step in steps)
