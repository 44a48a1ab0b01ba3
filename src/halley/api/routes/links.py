"""Routes: links that need no key: the URL itself is the right."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.resources import delivery, pages, upstream_hooks
from halley.api.waiting import sse

_STREAM: Final = (
    Param(name="logs", description="`1` adds the logs."),
    Param(name="Last-Event-ID", place="header", description="Continue after this event."),
)

ROUTES: Final = (
    Route(
        name="streams.get",
        method="GET",
        pattern="/streams/{capability}",
        handler=sse.stream,
        rate="open",
        response="text/event-stream",
        summary="Follow a prediction as server-sent events",
        params=_STREAM,
        is_secret=True,
        is_shared=True,
    ),
    Route(
        name="streams.files.get",
        method="GET",
        pattern="/files/stream-{capability}",
        handler=sse.stream,
        rate="open",
        response="text/event-stream",
        summary="Follow a prediction whose output is files",
        params=_STREAM,
        is_secret=True,
        is_shared=True,
    ),
    Route(
        name="delivery.get",
        method="GET",
        pattern="/d/{capability}/{file_name}",
        handler=delivery.output_file,
        rate="open",
        response="application/octet-stream",
        success=(200, 206),
        summary="Get an output file",
        at_root=True,
        is_secret=True,
        is_shared=True,
    ),
    Route(
        name="pages.prediction",
        method="GET",
        pattern="/p/{prediction_id}",
        handler=pages.prediction,
        rate="open",
        response="text/html",
        summary="The web page of a prediction",
        params=(Param(name="t", description="The capability in `urls.web`."),),
        at_root=True,
    ),
    Route(
        name="upstreams.hooks.receive",
        method="POST",
        pattern="/upstreams/hooks/{capability}",
        handler=upstream_hooks.receive,
        rate="open",
        body="json",
        success=(204,),
        summary="Receive a webhook of a service elsewhere; only a hint to look at its run",
        is_secret=True,
    ),
)
