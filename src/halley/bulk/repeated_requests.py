"""Requests for an action that arrive more than once."""

from collections.abc import Sequence

from halley.bulk.records import BulkAction
from halley.errors import KeyReused


def same_request(
    wanted: BulkAction, named: Sequence[str], known: BulkAction, known_named: Sequence[str]
) -> BulkAction | KeyReused:
    """The action that an earlier request with this `idempotency_key` made, or an error if that was a different request.

    The named predictions of both are compared, but not those that a filter chose: others may match it by now.
    """
    is_same = (wanted.kind, wanted.filter, wanted.most) == (known.kind, known.filter, known.most)
    if is_same and (known.filter is not None or list(named) == list(known_named)):
        return known
    return KeyReused(
        f"This Idempotency-Key was used for another request, which made the bulk action {known.id}. Use a fresh key."
    )
