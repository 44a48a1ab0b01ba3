"""Services elsewhere and routes to them; an extension, for operators."""

from typing import Final

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.paging import read_limit
from halley.api.presentation.present import encode
from halley.api.presentation.wire.upstreams import RoutePage, UnknownPage, UpstreamPage
from halley.errors import NotFound, VersionUnknown

_UNKNOWN: Final = 100


async def list_upstreams(call: Call, parts: ApiContext) -> Response:  # noqa: ARG001
    """All of them on one page. None is asked for it."""
    found = list(await parts.upstreams.upstreams())
    return json_response(encode(UpstreamPage(next=None, previous=None, results=found)))


async def list_unknown(call: Call, parts: ApiContext) -> Response:
    """The newest of them: they end `failed`, and nothing submits them again."""
    found = list(await parts.upstreams.unknown(read_limit(call.query(), _UNKNOWN)))
    return json_response(encode(UnknownPage(next=None, previous=None, results=found)))


async def list_routes(call: Call, parts: ApiContext) -> Response:  # noqa: ARG001
    """All of them on one page, in the order in which they are tried."""
    return json_response(encode(RoutePage(next=None, previous=None, results=list(parts.upstreams.routes()))))


async def test_route(call: Call, parts: ApiContext) -> Response:
    """Where the next run of the model would begin. An upstream may be asked for the model."""
    owner, name = call.params
    try:
        runnable = await parts.catalog.find(f"{owner}/{name}")
    except VersionUnknown as error:
        raise NotFound(f"There is no model {owner[:100]}/{name[:100]} here or at an upstream.") from error
    return json_response(encode(parts.upstreams.test_route(runnable.version)))
