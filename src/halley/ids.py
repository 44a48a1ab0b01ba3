"""New ids: 26 characters `[a-z0-9]`, ordered by creation time.

128 bits in Crockford's base32, lower case: 48 bits of milliseconds, then 80 random bits. Time-ordered keys double the
insert rate of the store. Two ids of one process in the same millisecond are ordered, too.

Source: contract section 7 (identifier).
"""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Final

from halley.clock import Clock, from_micros, to_micros

NewId = Callable[[], str]

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_LENGTH: Final = 26
_RANDOM_BITS: Final = 80
LAST_ID: Final = "z" * _LENGTH  # none is greater
_POOL_BYTES: Final = 4096


class PooledBits:
    """Random bits of the system, fetched in blocks: a system call for each id would cost more."""

    def __init__(self, fetch: Callable[[int], bytes] = os.urandom) -> None:
        self._fetch = fetch
        self._pool = b""
        self._at = 0

    def __call__(self, bits: int) -> int:
        size = bits // 8
        if self._at + size > len(self._pool):
            self._pool, self._at = self._fetch(_POOL_BYTES), 0
        start = self._at
        self._at += size
        return int.from_bytes(self._pool[start : self._at])


class TimeOrderedIds:
    """Makes ids; call the instance. `random_bits` is injected so that tests are repeatable."""

    def __init__(self, clock: Clock, random_bits: Callable[[int], int] | None = None) -> None:
        self._clock = clock
        self._random_bits = random_bits or PooledBits()
        self._last = 0

    def __call__(self) -> str:
        value = (to_micros(self._clock.now()) // 1000) << _RANDOM_BITS | self._random_bits(_RANDOM_BITS)
        if value <= self._last:  # the same millisecond, or a clock that was set back: the order is kept
            value = self._last + 1 + self._random_bits(32)
        self._last = value
        return _encode(value)

    def follow(self, newest: str | None) -> None:
        """Continue after this id of an earlier process, even if the clock was set back since."""
        if newest is not None and is_id(newest):
            self._last = max(self._last, _decode(newest))


def first_id_at(at: datetime) -> str:
    """The smallest id of that millisecond: a bound for scans by age."""
    return _encode((to_micros(at) // 1000) << _RANDOM_BITS)


def made_at(text: str) -> datetime | None:
    """When the id was made, to the millisecond; None for a text that is no id."""
    try:
        return from_micros((_decode(text) >> _RANDOM_BITS) * 1000) if is_id(text) else None
    except OverflowError:
        return None


def is_id(text: str) -> bool:
    """Whether the text has the form of an id; says nothing about existence."""
    return len(text) == _LENGTH and text.isascii() and text.isalnum() and text == text.lower()


def _encode(value: int) -> str:
    # ten bits at a time: thirteen table look-ups make the 26 characters
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


def _decode(text: str) -> int:
    value = 0
    for character in text:
        value = value * 32 + max(_ALPHABET.find(character), 0)
    return value
