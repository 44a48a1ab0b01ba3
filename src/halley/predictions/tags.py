"""Tags: words of the caller on a prediction, by which it can be found again."""

from collections.abc import Sequence
from typing import Final

MOST_TAGS: Final = 16
MOST_TAG_CHARACTERS: Final = 64


def is_tag(text: str) -> bool:
    """Whether this can be a tag: 1 to 64 characters, printable, no space at the ends."""
    return 0 < len(text) <= MOST_TAG_CHARACTERS and text.isprintable() and text == text.strip()


def distinct_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Each of them once, in the order given."""
    return tuple(dict.fromkeys(tags))
