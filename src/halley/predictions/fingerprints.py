"""What failed predictions have in common: a fingerprint of their errors, without what differs from one to the next.

Linear in the length of the text, of which only the beginning counts: errors are texts of models, of any content.
"""

import re
from functools import cache
from hashlib import sha256
from typing import Any, Final

COMPARED_CHARACTERS: Final = 2000
"""What follows does not count."""
GROUP_LENGTH: Final = 16  # characters of a fingerprint

_MARK: Final = "…"
_KEPT: Final = 4096  # more than one question about groups looks at; about 200 bytes each
_known: Final[dict[bytes, str]] = {}  # by a hash of model and text: a text can take a millisecond

_SPACE: Final = re.compile(r"\s+")
_HAS_DIGIT: Final = re.compile(r"\d")


# Alternatives that begin differently, each without nested repetition: the text is read once. A quote must end within
# the same line and 200 characters, because an apostrophe is no quote.
@cache
def _variable() -> re.Pattern[str]:
    """Compiled when it is first needed: it takes milliseconds of a start."""
    return re.compile(
        r"""
          (?P<url>\b[a-zA-Z][a-zA-Z0-9+.-]{1,15}://[^\s"'<>]*)
        | (?P<double>"[^"\n]{0,200}")
        | (?P<single>(?<!\w)'[^'\n]{0,200}'(?!\w))
        | (?P<tick>`[^`\n]{0,200}`)
        | (?P<path>(?<![\w/.])(?:~|\.{1,2})?/[\w.+@~-]+(?:/[\w.+@~-]*)*)
        | (?P<uuid>\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b)
        | (?P<number>(?<!\w)[+-]?\d\w*(?:[.,:+-]\d\w*)*)
        | (?P<word>\w+)
        """,
        re.VERBOSE,
    )


def normalised(error: str) -> str:
    """The text with a mark in place of numbers, ids, paths, addresses and quoted values, and of each space one."""
    text = _variable().sub(_replaced, error[:COMPARED_CHARACTERS])
    return _SPACE.sub(" ", text).strip()


def fingerprint(model: str, error: str | None) -> str:
    """The name of the group of a failed prediction: hexadecimal digits, the same for similar errors of a model."""
    text = (error or "")[:COMPARED_CHARACTERS]
    key = _digest(f"{model}\n{text}").digest()
    found = _known.get(key)
    if found is None:
        found = _digest(f"{model}\n{normalised(text)}").hexdigest()[:GROUP_LENGTH]
        if len(_known) >= _KEPT:
            _known.clear()  # in one step: the reading thread uses it, too
        _known[key] = found
    return found


def _digest(text: str) -> Any:
    return sha256(text.encode("utf-8", "surrogatepass"))


def is_group(text: str) -> bool:
    """Whether the text has the form of a fingerprint; says nothing about existence."""
    return len(text) == GROUP_LENGTH and not text.strip("0123456789abcdef")


def _replaced(found: re.Match[str]) -> str:
    if found.lastgroup == "word":  # a number, or an id: names with a digit differ from one error to the next, too
        return _MARK if _HAS_DIGIT.search(found[0]) else found[0]
    return _MARK
