"""Whether the server is alive, whether it can accept work, and its counters."""

from typing import Final

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.present import encode
from halley.api.presentation.wire.health import Counts, HealthBody
from halley.clock import rfc3339

_CHECKS: Final = ("models", "queue", "server", "session", "store")


async def live(call: Call, parts: ApiContext) -> Response:  # noqa: ARG001
    """200 as long as the process answers."""
    return json_response(encode(HealthBody(status="ok")))


async def counts(call: Call, parts: ApiContext) -> Response:  # noqa: ARG001
    """The counters of this process since its start."""
    shown = Counts(
        since=rfc3339(parts.started_at),
        replayed_creates=dict(parts.replayed),
        ignored_members=parts.ignored_members.counts(),
        breaker_openings={one.name: one.opened for one in await parts.upstreams.upstreams()},
    )
    return json_response(encode(shown))


async def ready(call: Call, parts: ApiContext) -> Response:
    """200 if predictions can be made; 503 with the reasons while starting, stopping, broken, full or locked."""
    reasons = dict(parts.health())
    if parts.is_draining:
        reasons["server"] = "stopping: running predictions are finished, new ones are not accepted"
    elif "store" not in reasons and (fault := await parts.check_store()) is not None:
        reasons["store"] = fault
    shown = HealthBody(status="not ready" if reasons else "ready", reasons=reasons)
    if "verbose" in call.query():
        shown.checks = dict.fromkeys(_CHECKS, "ok") | reasons
        shown.housekeeping = dict(parts.housekeeping_faults())
    return json_response(encode(shown), 503, [(b"retry-after", b"1")]) if reasons else json_response(encode(shown))
