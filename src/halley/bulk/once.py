"""Requests for an action that come more than once."""

from halley.bulk.records import BulkAction
from halley.errors import KeyReused


def same_request(wanted: BulkAction, known: BulkAction) -> BulkAction | KeyReused:
    """The action that an earlier request with the same `once` made, or why this is another request."""
    if (wanted.kind, wanted.filter) == (known.kind, known.filter):
        return known
    return KeyReused(
        f"This Idempotency-Key was used for another request, which made the bulk action {known.id}. Use a fresh key."
    )
