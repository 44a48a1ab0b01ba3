"""The model processes of this server; an extension, for operators."""

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.paging import read_whole_number
from halley.api.presentation.present import encode
from halley.api.presentation.wire.replicas import ClearedSetup, LogPage, ReplicaPage
from halley.errors import NotFound


async def list_replicas(call: Call, parts: ApiContext) -> Response:  # noqa: ARG001
    """All of them on one page: their memory is measured for this answer."""
    found = list(await parts.replicas())
    page = ReplicaPage(next=None, previous=None, memory_budget_bytes=parts.memory_budget_bytes, results=found)
    return json_response(encode(page))


async def read_log(call: Call, parts: ApiContext) -> Response:
    """The kept lines that the model's processes printed outside of predictions, the oldest first."""
    owner, name = call.params
    after, last = read_whole_number(call.query(), "after", 0), read_whole_number(call.query(), "last", 0)
    model = await parts.catalog.model(owner, name)
    if model is None:
        raise NotFound(f"There is no model {owner[:100]}/{name[:100]}")
    lines = list(parts.replica_log(model.full_name, after, last or None))
    return json_response(encode(LogPage(next=None, previous=None, results=lines)))


async def clear_setup(call: Call, parts: ApiContext) -> Response:
    """Delete what setups of the model left: its next process runs the whole setup."""
    owner, name = call.params
    model = await parts.catalog.model(owner, name)
    if model is None:
        raise NotFound(f"There is no model {owner[:100]}/{name[:100]}")
    size = await parts.clear_setup(model.full_name)
    return json_response(encode(ClearedSetup(model=model.full_name, cleared_bytes=size)))
