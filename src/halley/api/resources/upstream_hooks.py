"""Webhooks from services elsewhere. They are hints: the run is read from its service, never from here."""

from typing import Final

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response
from halley.api.resources.bodies import read_body
from halley.dispatch.upstream_hooks import HookPlace, UpstreamHint

BODY_LIMIT_BYTES: Final = 4 * 2**20  # a larger one is refused, and its run is found by the next poll
_HOLDER: Final = "webhooks of services"  # bodies of all of them count together, as those of one key
_ENDS: Final = frozenset({"succeeded", "failed", "canceled", "cancelled", "aborted"})
_ID_CHARACTERS: Final = 200


class _Body(msgspec.Struct):
    """All that is read. Unknown members are skipped."""

    id: object = None
    status: object = None


_read: Final = msgspec.json.Decoder(_Body).decode


async def receive(call: Call, parts: ApiContext) -> Response:
    """The address is checked before the body is read. The answer is the same whether anything waits for it or not."""
    place = HookPlace(*parts.links.verify_hook(call.params[0]))
    held = call.held_body = parts.bodies.hold(_HOLDER)
    body = await read_body(call, held, min(BODY_LIMIT_BYTES, parts.limits.json_body_bytes))
    upstream_id, has_ended = _said(body)
    parts.upstreams.receive_hint(UpstreamHint(place=place, upstream_id=upstream_id, has_ended=has_ended))
    return Response(status=204)


def _said(body: bytes) -> tuple[str, bool]:
    """The id that the body names, and whether it says that the run is over. Anything may have come."""
    try:
        said = _read(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", False
    named = said.id if isinstance(said.id, str) and len(said.id) <= _ID_CHARACTERS else ""
    return named, isinstance(said.status, str) and said.status in _ENDS
