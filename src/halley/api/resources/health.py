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
    shown = await (verbose_health(parts) if "verbose" in call.query() else _health(parts))
    body = encode(shown)
    return json_response(body, 503, [(b"retry-after", b"1")]) if shown.reasons else json_response(body)


async def verbose_health(parts: ApiContext) -> HealthBody:
    """Whether predictions can be made, with the result of each check."""
    shown = await _health(parts)
    shown.checks = dict.fromkeys(_CHECKS, "ok") | shown.reasons
    shown.housekeeping = dict(parts.housekeeping_faults())
    return shown


async def _health(parts: ApiContext) -> HealthBody:
    reasons = dict(parts.health())
    if parts.is_draining:
        reasons["server"] = "stopping: running predictions are finished, new ones are not accepted"
    elif "store" not in reasons and (fault := await parts.check_store()) is not None:
        reasons["store"] = fault
    return HealthBody(status="not ready" if reasons else "ready", reasons=reasons)
