"""Members of a query that occur more than once, as boxes of a form do."""

from typing import Final
from urllib.parse import parse_qsl

_MOST: Final = 100


def values_of(query: bytes, name: str) -> list[str]:
    """All values of a member, in order; none if the query has hundreds of members."""
    try:
        pairs = parse_qsl(query.decode("ascii", "replace"), max_num_fields=_MOST)
    except ValueError:
        return []
    return [value for member, value in pairs if member == name]
