"""Durations and sizes as people write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from halley.settings.shapes import DAY_SECONDS


def parse_seconds(text: str) -> float:
    """Read `30`, `0.5s`, `5m`, `1h30m`, `30d`.

    Raises:
        ValueError: it is none of these.
    """
    return _parse_units(text, _SECONDS, "a duration such as 30s, 5m, 1h30m or 7d")


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
    pieces = re.findall(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text)
    whole = re.fullmatch(r"(\s*\d+(\.\d+)?\s*[A-Za-z]*)+\s*", text) is not None
    if not whole or any(unit not in units for _, unit in pieces):
        raise ValueError(f"expected {wanted}")
    return sum(float(number) * units[unit] for number, unit in pieces)
