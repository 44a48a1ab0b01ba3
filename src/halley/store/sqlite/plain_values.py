"""None, bytes and truth values on their way into SQLite.

Python's module asks how to adapt each parameter that is neither a number nor text, and learns that there is no way by
an error inside: a sixth of a microsecond for each of the 40 such values of a prediction. These are answers to that
question; what arrives is the same.
"""

import sqlite3
from types import NoneType
from typing import Final

_ITSELF: Final[dict[None, None]] = {}


def take_as_they_are() -> None:
    """Answer the question for this process. Repeating it is harmless."""
    sqlite3.register_adapter(NoneType, _ITSELF.get)
    sqlite3.register_adapter(bytes, bytes.__bytes__)  # calling the class takes six times as long
    sqlite3.register_adapter(bool, bool.__int__)
