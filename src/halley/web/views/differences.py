"""The inputs of two predictions, beside each other."""

import re
from difflib import SequenceMatcher
from typing import Any, Final

import msgspec

from halley.web.views.texts import cut, decode_small, first_bytes

_ROWS: Final = 500
_CHARACTERS: Final = 4000  # of one value
_WORDS: Final = 400  # longer texts are marked as a whole
_WORD: Final = re.compile(r"\s+|[^\s]+")
_NOTHING: Final = object()


class Piece(msgspec.Struct, frozen=True):
    """A piece of a text, and whether the other side has another one here."""

    text: str
    differs: bool = False


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """A value of one of the two; it was not given if there are no pieces."""

    pieces: tuple[Piece, ...] = ()
    is_given: bool = True


class InputRow(msgspec.Struct, frozen=True, kw_only=True):
    """One input of both predictions."""

    name: str
    differs: bool
    left: Side
    right: Side


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All inputs: those of the first in its order, then those that only the second has."""

    rows: tuple[InputRow, ...]
    is_whole: bool = True  # False: there are more inputs, or they are too large to be compared one by one

    @property
    def count(self) -> int:
        """How many differ."""
        return sum(row.differs for row in self.rows)


def compare(left: bytes | msgspec.Raw, right: bytes | msgspec.Raw) -> Comparison:
    """Compare two JSON objects member by member. `1` and `1.0` differ, the order of names does not matter."""
    first, second = decode_small(left), decode_small(right)
    if not isinstance(first, dict) or not isinstance(second, dict):
        differs = bytes(left) != bytes(right)
        row = InputRow(name="(all)", differs=differs, left=_whole(left), right=_whole(right))
        return Comparison(rows=(row,), is_whole=False)
    names = list(dict.fromkeys([*first, *second]))
    rows = tuple(_row(name, first.get(name, _NOTHING), second.get(name, _NOTHING)) for name in names[:_ROWS])
    return Comparison(rows=rows, is_whole=len(names) <= _ROWS)


def _row(name: str, first: Any, second: Any) -> InputRow:
    differs = first is _NOTHING or second is _NOTHING or _canonical(first) != _canonical(second)
    left, right = _pieces(_shown(first), _shown(second)) if differs else (_plain(first), _plain(second))
    return InputRow(
        name=name,
        differs=differs,
        left=Side(is_given=False) if first is _NOTHING else Side(pieces=left),
        right=Side(is_given=False) if second is _NOTHING else Side(pieces=right),
    )


def _canonical(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _shown(value: Any) -> str:
    if value is _NOTHING:
        return ""
    text = value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return cut(text, _CHARACTERS)


def _plain(value: Any) -> tuple[Piece, ...]:
    return (Piece(_shown(value)),)


def _pieces(first: str, second: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both texts, with the words marked that differ; long ones, and those with little in common, as a whole."""
    words, others = _WORD.findall(first), _WORD.findall(second)
    if not (words and others) or max(len(words), len(others)) > _WORDS:
        return (Piece(first, differs=True),), (Piece(second, differs=True),)
    matcher = SequenceMatcher(None, words, others, autojunk=False)
    if matcher.ratio() < 0.3:
        return (Piece(first, differs=True),), (Piece(second, differs=True),)
    left: list[Piece] = []
    right: list[Piece] = []
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        for side, found in ((left, words[start:end]), (right, others[other_start:other_end])):
            if found:
                side.append(Piece("".join(found), differs=tag != "equal"))
    return tuple(left), tuple(right)


def _whole(value: bytes | msgspec.Raw) -> Side:
    return Side(pieces=(Piece(cut(first_bytes(value, 4 * _CHARACTERS).decode("utf-8", "ignore"), _CHARACTERS)),))
