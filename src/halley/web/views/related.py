"""Predictions that one is linked to."""

from typing import Final

import msgspec

_WORDS: Final = {
    "rerun_of": "Run again from",
    "rerun": "Run again as",
    "continues": "Continues",
    "continued_by": "Continued by",
}


class Related(msgspec.Struct, frozen=True, kw_only=True):
    """One of them, as the API lists it."""

    relation: str
    id: str
    model: str
    status: str
    created_at: str
    at: str
    how: str | None = None

    @property
    def words(self) -> str:
        """What it is to the prediction of the page."""
        return _WORDS.get(self.relation, self.relation)


class RelatedRuns(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    results: list[Related]


read_related: Final = msgspec.json.Decoder(RelatedRuns).decode
