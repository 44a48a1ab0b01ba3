"""Parses durations, periods and sizes as people write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from halley.settings.kinds import DAY_SECONDS, NEVER, Period

LONGEST_SECONDS: Final = 1000 * 365 * DAY_SECONDS  # longer ones would exceed the calendar

_PIECE: Final = re.compile(r"\s*+(\d++(?:\.\d++)?+)\s*+([A-Za-z]*+)")
# nothing is tried twice: digits that could be divided into pieces in many ways would take very long
_WHOLE: Final = re.compile(rf"(?:{_PIECE.pattern})++\s*+")


def parse_seconds(text: str) -> float:
    """Read `30`, `0.5s`, `5m`, `1h30m`, `30d`.

    Raises:
        ValueError: it is none of these.
    """
    return _parse_units(text, _SECONDS, "a duration such as 30s, 5m, 1h30m or 7d")


def parse_period(text: str) -> float | None:
    """Read a period in seconds, such as `1h` or `30d`; None for `never`.

    Raises:
        ValueError: it is none of these.
    """
    return None if text == NEVER else min(parse_seconds(text), LONGEST_SECONDS)


def read_period(raw: Any) -> str:
    """Convert a period to its canonical form: `30d`, `1h30m`, `never`; numbers are seconds.

    Raises:
        ValueError: it is not a period.
    """
    text = "".join(str(raw).split()).lower()
    if isinstance(raw, int | float) or text.isdecimal():
        text += "s"
    try:
        return msgspec.convert(text, Period)
    except msgspec.ValidationError as error:
        raise ValueError("expected a period such as 1h, 30d or 1h30m, longer than 0, or never") from error


def parse_bytes(text: str) -> int:
    """Read `1024`, `256MB` (10^6), `32MiB` (2^20).

    Raises:
        ValueError: it is none of these.
    """
    return int(_parse_units(text.lower(), _BYTES, "a size such as 1024, 256MB or 32MiB"))


_SECONDS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_SECONDS, "w": 7 * DAY_SECONDS}
_BYTES: Final = {"": 1.0, "b": 1.0} | {
    f"{letter}{middle}b": float(base ** (power + 1))
    for middle, base in (("", 1000), ("i", 1024))
    for power, letter in enumerate("kmgt")
}


def _parse_units(text: str, units: Mapping[str, float], wanted: str) -> float:
    pieces = _PIECE.findall(text) if _WHOLE.fullmatch(text) is not None else []
    if not pieces or any(unit not in units for _, unit in pieces):
        raise ValueError(f"expected {wanted}")
    return sum(float(number) * units[unit] for number, unit in pieces)
