"""Errors of a job file: where, what, and a suggestion."""

from collections.abc import Iterable
from difflib import get_close_matches

from halley.errors import Unusable


class JobFileError(Unusable):
    """A job file cannot be used. `place` is the dotted name of what is wrong, such as `create.path`."""

    def __init__(self, place: str, text: str) -> None:
        super().__init__(f"{place}: {text}" if place else text)
        self.place = place


class Unsendable(ValueError):
    """A value cannot stand in a request where the job file puts it; the message says why."""


def meant(word: str, known: Iterable[str], *, instead: str = "") -> str:
    """A sentence with the known word that is most similar; if none is, `instead`, or all known words."""
    words = sorted(set(known))
    close = get_close_matches(word, words, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return instead or (f"Known are: {', '.join(words)}." if words else "There are none.")
