"""Finds the texts in a JSON value."""

from collections.abc import Iterator
from typing import Any, Final

from halley.dispatch.ports import Pointer

_DEEPEST: Final = 64  # levels that are searched; a deeper value is refused when it enters or is stored


def texts_in(value: Any) -> Iterator[tuple[Pointer, str]]:
    """Each text with its place, in order; the names of members are no texts."""
    waiting: list[tuple[Pointer, Any]] = [((), value)]
    while waiting:
        at, node = waiting.pop()
        if isinstance(node, str):
            yield at, node
        elif len(at) < _DEEPEST and isinstance(node, dict):
            waiting.extend(((*at, name), node[name]) for name in reversed(node))
        elif len(at) < _DEEPEST and isinstance(node, list):
            waiting.extend(((*at, index), node[index]) for index in reversed(range(len(node))))
