"""Requests for an action that come more than once."""

from collections.abc import Sequence

from halley.bulk.records import BulkAction
from halley.errors import KeyReused


def same_request(
    wanted: BulkAction, named: Sequence[str], known: BulkAction, known_named: Sequence[str]
) -> BulkAction | KeyReused:
    """The action that an earlier request with the same `once` made, or why this is another request.

    Both are given with their predictions: where a filter chose them, others may fit by now.
    """
    is_same = (wanted.kind, wanted.filter, wanted.most) == (known.kind, known.filter, known.most)
    if is_same and (known.filter is not None or list(named) == list(known_named)):
        return known
    return KeyReused(
        f"This Idempotency-Key was used for another request, which made the bulk action {known.id}. Use a fresh key."
    )
