"""`Input(regex=...)`, as Python reads it.

The server checks patterns too, before a prediction is made, but with an engine that guarantees linear time: it has no
look-around, no back references and no end anchor. What it cannot check is checked here.
"""

from __future__ import annotations

import re
from typing import Any, Optional

LENGTH_LIMIT_CHARS = 100_000
_ONLY_HERE = re.compile(r"\(\?(?:[=!(>]|<[=!]|P=)|\\[1-9AZ]")


class Pattern:
    """A compiled pattern."""

    def __init__(self, text: str, compiled: Any) -> None:
        self._text = text
        self._compiled = compiled
        self._is_only_here = _ONLY_HERE.search(text) is not None

    @classmethod
    def of(cls, text: Optional[str]) -> Optional[Pattern]:
        """None without a pattern, and for a pattern that only the server's engine can read."""
        try:
            return None if text is None else cls(text, re.compile(text))
        except (re.error, TypeError, RecursionError):
            return None

    def fault(self, value: Any) -> Optional[str]:
        """What is wrong with a value; None if it matches, or is not text."""
        if not isinstance(value, str):
            return None
        if len(value) > LENGTH_LIMIT_CHARS:
            # this engine may take very long
            limit = "is longer than %d characters, the most that a pattern is tried on" % LENGTH_LIMIT_CHARS
            return limit if self._is_only_here else None
        if self._compiled.search(value) is None:
            return "does not match the pattern %s" % self._text
        return None
