"""Cases from a seed: what a parser knows, cut, repeated, mixed and spoiled. Seed and number make a case again."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LONGEST: Final = 4096
_MANY: Final = (2, 3, 7, 40)
_RARE: Final = b"\x00\t\n\r \"#%&'()*+,-./0123456789:;<=>?@[\\]^_`{|}~\x7f\x80\xbf\xc3\xe2\xed\xf0\xff"


@dataclass(frozen=True)
class Words:
    """What cases are made of: whole examples that are fit, and pieces that mean something to the parser."""

    examples: Sequence[bytes]
    pieces: Sequence[bytes]


def make_case(words: Words, seed: int, number: int) -> bytes:
    """One case: an example with a few changes, or pieces in a row."""
    chance = random.Random((seed << 32) + number)
    if chance.random() < 0.2:
        return b"".join(chance.choice(words.pieces) for _ in range(chance.randrange(12)))
    case = chance.choice(words.examples)
    for _ in range(1 + int(chance.expovariate(0.7))):
        case = _changed(case, words, chance)
    return case[:_LONGEST]


def _changed(case: bytes, words: Words, chance: random.Random) -> bytes:
    at = chance.randrange(len(case) + 1)
    end = min(len(case), at + 1 + int(chance.expovariate(0.2)))
    way = chance.randrange(8)
    if way == 0:
        return case[:at] + chance.choice(words.pieces) + case[at:]
    if way == 1:
        return case[:at] + chance.choice(words.pieces) + case[end:]
    if way == 2:
        return case[:at] + case[end:]
    if way == 3:
        return case[:at] + case[at:end] * chance.choice(_MANY) + case[end:]
    if way == 4:
        return case[:at] + bytes([chance.choice(_RARE)]) + case[at + 1 :]
    if way == 5:
        return case[:at] + chance.randbytes(chance.randrange(1, 5)) + case[at:]
    if way == 6:
        return case[:at] + chance.choice(words.examples)[at:]
    return case[:at]


def shape_count(words: Words) -> int:
    """How many shapes there are of one beginning and one piece that is repeated; beyond it they are by chance."""
    return len(words.pieces) * (len(words.pieces) + 1)


def make_shape(words: Words, size: int, seed: int, number: int) -> bytes:
    """A long case of pieces that come again and again: what takes more than linear time shows in one of these."""
    chance = random.Random((seed << 32) + number)
    first, second = divmod(number, len(words.pieces))
    if first <= len(words.pieces):
        beginning = (b"", *words.pieces)[first]
        repeated = words.pieces[second] or b" "
    else:
        beginning = chance.choice((*words.pieces, *words.examples))
        repeated = b"".join(chance.choice(words.pieces) for _ in range(chance.randrange(2, 5))) or b" "
    ending = chance.choice((b"", b"x", *words.pieces))
    room = max(1, size - len(beginning) - len(ending))
    if chance.random() < 0.2:  # so many of one, then so many of another
        other = chance.choice(words.pieces) or b" "
        return beginning + repeated * (room // 2 // len(repeated)) + other * (room // 2 // len(other)) + ending
    return beginning + repeated * (room // len(repeated)) + ending
