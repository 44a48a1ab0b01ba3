"""Parameters of lists."""

from typing import Final

from halley.api.http.routing import Param

LIMIT: Final = Param(
    name="limit", type="integer", description="Items per page, limited to 1 to 100; for events to 1000."
)
CURSOR: Final = Param(name="cursor", description="From `next` or `previous` of a list.")
PAGE: Final = (CURSOR, LIMIT)
