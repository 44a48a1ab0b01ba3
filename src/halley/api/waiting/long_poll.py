"""`GET` of a prediction: at once, or held until there is something new. Source: design section 7; contract 8.2.

- `Prefer: wait=n`: until the end, or n seconds. With an `If-None-Match` that names the present state: until another
  state.
- An official client that polls: its second and later request for an unchanged prediction is held until status or output
  change, or logs and progress after half a second, or for two seconds (both are settings). Not longer: these clients
  check abort signals and stop buttons between polls only.
- All other requests are answered at once.
"""

from functools import partial

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Headers, Response, Variant, json_response
from halley.api.http.quirks import hold_seconds
from halley.api.presentation.cache import CachedResponse
from halley.api.presentation.encoded import is_match
from halley.api.presentation.preferences import applied, wait_seconds
from halley.api.waiting.conditions import Until, urgent_and_last
from halley.api.waiting.hold import Carrier, Snapshot, Tell
from halley.api.waiting.last_seen import LastSeen
from halley.keys.records import Scope
from halley.predictions.records import Prediction


async def get(call: Call, parts: ApiContext, prediction_id: str) -> Response:
    """The prediction, or a deferred answer."""
    if parts.hub.is_closed:
        return await _now(call, parts, prediction_id, [])
    wait = wait_seconds(call.joined(b"prefer"), parts.limits.wait_get_max_seconds)
    if wait is not None:
        return await _asked(call, parts, prediction_id, wait)
    seconds = _habit_seconds(call, parts)
    if seconds > 0:
        return await _polled(call, parts, prediction_id, seconds)
    return await _now(call, parts, prediction_id, [])


async def _now(call: Call, parts: ApiContext, prediction_id: str, headers: Headers) -> Response:
    if_none_match = call.joined(b"if-none-match")
    row = await parts.predictions.row(prediction_id, call.account_id)
    kept = parts.encoded.current(row, call.variant)
    if kept is not None:  # it includes all events, which are not read again
        parts.attendance.seen(row)
        return _answer(kept, if_none_match, headers)
    return await _tell(parts, call.variant, if_none_match, headers, await _look(parts, row))


async def _asked(call: Call, parts: ApiContext, prediction_id: str, wait: float) -> Response:
    headers, if_none_match = [applied(wait)], call.joined(b"if-none-match")
    tell = partial(_tell, parts, call.variant, if_none_match, headers)
    with parts.hub.enter(prediction_id, call.scope) as hold:  # before reading: no change is missed
        row = await parts.predictions.row(prediction_id, call.account_id)
        until = Until.CHANGE if if_none_match else Until.END
        is_old = until is Until.CHANGE and not is_match(if_none_match, parts.encoded.etag(row, call.variant))
        if not row.is_terminal and not is_old:
            return hold.expect(row, until, tell, seconds=wait, carrier=_carrier(call)).later()
    return await tell(await _look(parts, row))


async def _polled(call: Call, parts: ApiContext, prediction_id: str, seconds: float) -> Response:
    key_id, if_none_match = call.identity.key.id, call.joined(b"if-none-match")
    seen = parts.polls.take(key_id, prediction_id, parts.clock.monotonic())
    tell = partial(_tell_again, parts, key_id, partial(_tell, parts, call.variant, if_none_match, []))
    with parts.hub.enter(prediction_id, call.scope) as hold:
        row = await parts.predictions.row(prediction_id, call.account_id)
        if seen is not None and not row.is_terminal:
            urgent, last = await urgent_and_last(parts.predictions, row, seen.seq)
            if not urgent:
                has_unseen = row.revision != seen.revision
                expected = hold.expect(
                    row, Until.NEWS, tell, seconds=seconds, carrier=_carrier(call), seq=last, has_unseen=has_unseen
                )
                return expected.later()
    return await tell(await _look(parts, row))


def _carrier(call: Call) -> Carrier:
    return call.identity.key.id, Scope.READ


def _habit_seconds(call: Call, parts: ApiContext) -> float:
    """How long the caller may be held without having asked for it."""
    if call.method != "GET" or not parts.settings.quirks.hold_polls or not call.identity.key.options.hold:
        return 0.0
    return min(hold_seconds(call.header(b"user-agent") or ""), parts.limits.hold_seconds)


async def _look(parts: ApiContext, row: Prediction) -> Snapshot:
    return Snapshot(*await parts.predictions.filled_to(row))


async def _tell(
    parts: ApiContext, variant: Variant, if_none_match: str, headers: Headers, found: Snapshot | Exception
) -> Response:
    if isinstance(found, Exception):
        raise found
    parts.attendance.seen(found.row)
    return _answer(await parts.encoded.of(found.row, variant, found.made), if_none_match, headers)


def _answer(kept: CachedResponse, if_none_match: str, headers: Headers) -> Response:
    headers = [*headers, (b"etag", kept.etag)]
    if if_none_match and is_match(if_none_match, kept.etag):
        return Response(status=304, headers=headers)
    return json_response(kept.body, headers=headers)


async def _tell_again(parts: ApiContext, key_id: str, tell: Tell, found: Snapshot | Exception) -> Response:
    """Answer, and remember that this client will poll again."""
    answer = await tell(found)
    if isinstance(found, Snapshot) and not found.row.is_terminal:
        seen = LastSeen(at=parts.clock.monotonic(), revision=found.row.revision, seq=found.seq)
        parts.polls.note(key_id, found.row.id, seen)
    return answer
