"""New ids: 26 characters `[a-z0-9]`, ordered by creation time.

128 bits in Crockford's base32, lower case: 48 bits of milliseconds, a count of 20 bits, then 60 random bits.
Time-ordered keys double the insert rate of the store. The count orders the ids that one process makes in the same
millisecond.

Source: contract section 7 (identifier).
"""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Final

from halley.clock import EPOCH, Clock, from_micros, to_micros

NewId = Callable[[], str]

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_AS_CHARACTERS: Final = (_ALPHABET * 8).encode()  # of each byte
_LENGTH: Final = 26
_TIME, _RANDOM = 10, 12  # characters; those of the count are between them
_MOST: Final = (1 << 20) - 1
_HALF: Final = _MOST >> 1
FIRST_ID: Final = "0" * _LENGTH  # none is smaller
LAST_ID: Final = "z" * _LENGTH  # none is greater
_POOL_BYTES: Final = 4096


class PooledText:
    """Random characters of ids, made in blocks: a system call for each id would cost more."""

    def __init__(self, fetch: Callable[[int], bytes] = os.urandom) -> None:
        self._fetch = fetch
        self._pool = ""
        self._at = 0

    def __call__(self, length: int) -> str:
        start, end = self._at, self._at + length
        if end > len(self._pool):
            self._pool = self._fetch(_POOL_BYTES).translate(_AS_CHARACTERS).decode("ascii")
            start, end = 0, length
        self._at = end
        return self._pool[start:end]


class TimeOrderedIds:
    """Makes ids; call the instance. `random_text` is injected so that tests are repeatable."""

    def __init__(self, clock: Clock, random_text: Callable[[int], str] | None = None) -> None:
        self._clock = clock
        self._random_text = random_text or PooledText()
        self._ms = -1024
        self._head = ""
        self._begin(0, _decode(self._random_text(4)))

    def __call__(self) -> str:
        since = self._clock.now() - EPOCH
        ms = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
        if ms > self._ms:
            self._begin(ms, self._count & _HALF)  # the other half is left for this millisecond
        else:  # the same millisecond, or a clock that was set back: the order is kept
            self._count += 1
            if self._count > _MOST:
                self._begin(self._ms + 1, 0)
        return f"{self._time}{_PAIRS[self._count >> 10]}{_PAIRS[self._count & 1023]}{self._random_text(_RANDOM)}"

    def follow(self, newest: str | None) -> None:
        """Continue after this id of an earlier process, even if the clock was set back since."""
        if newest is not None and is_id(newest):
            self._begin(*max((self._ms, self._count), (_decode(newest[:_TIME]), _decode(newest[_TIME:-_RANDOM]))))

    def _begin(self, ms: int, count: int) -> None:
        if ms >> 10 != self._ms >> 10:  # all but the last two characters change once in a second
            self._head = _encode(ms)[:-2]
        self._ms, self._time, self._count = ms, self._head + _PAIRS[ms & 1023], count


def first_id_at(at: datetime) -> str:
    """The smallest id of that millisecond: a bound for scans by age. Before 1970 it is the smallest of all."""
    return _encode(max(0, to_micros(at) // 1000)) + "0" * (_LENGTH - _TIME)


def made_at(text: str) -> datetime | None:
    """When the id was made, to the millisecond; None for a text that is no id."""
    try:
        return from_micros(_decode(text[:_TIME]) * 1000) if is_id(text) else None
    except OverflowError:
        return None


def is_id(text: str) -> bool:
    """Whether the text has the form of an id; says nothing about existence."""
    return len(text) == _LENGTH and text.isascii() and text.isalnum() and text == text.lower()


def _encode(ms: int) -> str:
    return "".join([_PAIRS[ms >> shift & 1023] for shift in range(40, -1, -10)])


def _decode(text: str) -> int:
    value = 0
    for character in text:
        value = value * 32 + max(_ALPHABET.find(character), 0)
    return value
