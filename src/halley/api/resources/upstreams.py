"""Services elsewhere and routes to them; an extension, for operators."""

from typing import Final

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.paging import read_limit
from halley.api.presentation.present import encode
from halley.api.presentation.wire.upstreams import RoutePage, SettlementBody, UnknownPage, UpstreamPage
from halley.api.resources.bodies import read_small_object, text_member
from halley.api.resources.predictions import path_id
from halley.clock import rfc3339
from halley.errors import NotFound, VersionUnknown
from halley.predictions.settlements import Settled, Settlement

_UNKNOWN: Final = 100


async def list_upstreams(call: Call, parts: ApiContext) -> Response:  # noqa: ARG001
    """All of them on one page. None is asked for it."""
    found = list(await parts.upstreams.upstreams())
    return json_response(encode(UpstreamPage(next=None, previous=None, results=found)))


async def list_unknown(call: Call, parts: ApiContext) -> Response:
    """The newest of them: they end `failed`, and nothing submits them again by itself."""
    query = call.query()
    with_settled = query.get("all", "0") not in ("0", "false")
    found = list(await parts.upstreams.unknown(read_limit(query, _UNKNOWN), with_settled))
    return json_response(encode(UnknownPage(next=None, previous=None, results=found)))


async def adopt_unknown(call: Call, parts: ApiContext) -> Response:
    """Continue a prediction with a run that the service has. The same request again has the same answer."""
    members = await read_small_object(call, parts)
    provider = text_member(members, "provider", required=False) or None
    upstream_id = text_member(members, "upstream_id")
    prediction_id = path_id(call.params[0], "prediction")
    return _settled(await parts.upstreams.adopt(prediction_id, upstream_id, provider))


async def retry_unknown(call: Call, parts: ApiContext) -> Response:
    """Submit a prediction again, as another one. The same request again has the same answer."""
    return _settled(await parts.upstreams.retry(path_id(call.params[0], "prediction")))


def _settled(settled: Settled) -> Response:
    return json_response(encode(settlement_body(settled.settlement)), 201 if settled.is_new else 200)


def settlement_body(settlement: Settlement) -> SettlementBody:
    """The wire form of a settlement."""
    return SettlementBody(
        prediction=settlement.prediction_id,
        continued_by=settlement.linked_id,
        how=settlement.how,
        at=rfc3339(settlement.at),
    )


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
