"""Whether the server lives, and whether it may be given work."""

from halley.api import wire
from halley.api.asgi import Answer, Call, json_answer
from halley.api.parts import Parts
from halley.api.present import encode


async def live(call: Call, parts: Parts) -> Answer:  # noqa: ARG001
    """200 as long as the process answers at all."""
    return json_answer(encode(wire.Health(status="ok")))


async def ready(call: Call, parts: Parts) -> Answer:  # noqa: ARG001
    """200 if predictions can be made; 503 with the reasons while starting, stopping or broken."""
    reasons = dict(parts.health())
    if parts.is_draining:
        reasons["server"] = "stopping: finishing what runs, taking nothing new"
    if reasons:
        return json_answer(encode(wire.Health(status="not ready", reasons=reasons)), 503, [(b"retry-after", b"1")])
    return json_answer(encode(wire.Health(status="ready")))
