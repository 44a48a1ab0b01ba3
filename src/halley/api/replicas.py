"""The model processes of this server; an extension of ours, for whoever runs it."""

from halley.api import wire
from halley.api.asgi import Answer, Call, json_answer
from halley.api.parts import Parts
from halley.api.present import encode


async def list_replicas(call: Call, parts: Parts) -> Answer:  # noqa: ARG001
    """All of them on one page: their memory is measured for this answer."""
    found = list(await parts.replicas())
    return json_answer(encode(wire.ReplicaPage(next=None, previous=None, results=found)))
