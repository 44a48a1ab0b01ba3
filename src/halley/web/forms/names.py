"""Names of a form's controls: `input.a.b` for the member `b` of `a`, `input.list.0` for the first item of `list`.

A part of a path is percent-encoded, with the dot as well, so that every name, also an empty one, can be read back, and
no two places have the same name. Other prefixes mark what belongs to the same place.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final
from urllib.parse import quote, unquote

VALUE: Final = "input"  # the text of a value
JSON: Final = "json"  # the value as JSON, where its own control cannot show it
FILE: Final = "file"  # an uploaded file
KEY: Final = "key"  # the name of an entry of a dict
ITEM: Final = "item"  # the place exists, even if nothing in it is filled in
CHOICE: Final = "choice"  # which member of a union is shown
EMPTY: Final = "empty"  # send an empty text, list or object
NULL: Final = "null"  # send null
_PREFIXES: Final = frozenset({VALUE, JSON, FILE, KEY, ITEM, CHOICE, EMPTY, NULL})
ADD: Final = "add"
REMOVE: Final = "remove"
CHOOSE: Final = "choose"
_VERBS: Final = frozenset({ADD, REMOVE, CHOOSE})

_DEPTH: Final = 12  # of a name; the form itself has fewer levels
_DIGITS: Final = 6
_PRESSED: Final = 8  # a browser sends the name of one button; each looks at all items of its list


def name_of(prefix: str, path: Sequence[str]) -> str:
    """The name of the control at a place."""
    return ".".join([prefix, *map(_encode, path)])


def split_name(name: str) -> tuple[str, list[str]]:
    """The prefix of a name, and its path."""
    prefix, *parts = name.split(".")
    return prefix, [unquote(part) if "%" in part else part for part in parts]


def prefix_of(name: str) -> str:
    """The prefix of a name, without a look at the rest of it."""
    return name.partition(".")[0]


def is_button(name: str) -> bool:
    """Whether it is the name of a button that changes the form."""
    return prefix_of(name) in _VERBS


class PostedNode:
    """What was posted for one place, by prefix, and for the places below it."""

    __slots__ = ("below", "texts")

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.below: dict[str, PostedNode] = {}

    def at(self, path: Sequence[str]) -> "PostedNode":
        """The node of a place; it is made if it is not there."""
        node = self
        for part in path:
            below = node.below.get(part)
            if below is None:
                below = node.below[part] = PostedNode()
            node = below
        return node

    def numbered(self) -> "list[PostedNode]":
        """The nodes with numbers as names, in the order of the numbers."""
        found = [part for part in self.below if _is_number(part)]
        return [self.below[part] for part in sorted(found, key=int)]


def read_pairs(pairs: Iterable[tuple[str, str]]) -> PostedNode:
    """The posted values as a tree. Of values with the same name the last one counts. Other names are ignored."""
    top = PostedNode()
    for name, text in pairs:
        if prefix_of(name) in _PREFIXES and name.count(".") <= _DEPTH:
            prefix, path = split_name(name)
            top.at(path).texts[prefix] = text
    return top


def press(top: PostedNode, pairs: Iterable[tuple[str, str]]) -> None:
    """Do what the pressed buttons say (`act`)."""
    for name, value in islice(((name, value) for name, value in pairs if is_button(name)), _PRESSED):
        act(top, name, value)


def act(top: PostedNode, name: str, value: str) -> bool:
    """Do what a button says: `add.PATH`, `remove.PATH.0`, or `choose.PATH` with a member's number.

    False if it is another name.
    """
    if not is_button(name) or not 0 < name.count(".") <= _DEPTH:
        return False
    verb, path = split_name(name)
    if verb == ADD:
        node = top.at(path)
        last = max((int(part) for part in node.below if _is_number(part)), default=-1)
        node.at([str(last + 1)]).texts[ITEM] = ""
    elif verb == REMOVE:
        top.at(path[:-1]).below.pop(path[-1], None)
    else:
        top.at(path).texts[CHOICE] = value
    return True


def _encode(part: str) -> str:
    return quote(part, safe="").replace(".", "%2E")


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) <= _DIGITS
