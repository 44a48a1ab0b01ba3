"""The event stream that makes an open page fetch its live parts again, after a change."""

from halley.api.http.asgi import Response
from halley.web.visit import Visit


async def follow(visit: Visit) -> Response:
    """Follow the topic of the query."""
    return await visit.follow(visit.query.get("topic", "predictions"))
