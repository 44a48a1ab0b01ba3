"""Webhooks for their account: the secret, the delivery log, sending again.

Source: contract sections 10.5 and 11; all but the secret is an extension.
"""

from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.paging import PageBody, page_link, read_cursor, read_limit, read_time, read_whole_number
from halley.api.presentation.present import encode
from halley.api.presentation.problems import invalid
from halley.api.presentation.wire.webhooks import (
    DeliveryAnswer,
    DeliveryBody,
    DeliveryRequest,
    NewWebhookSecret,
    RotateWebhookSecret,
    WebhookCopies,
    WebhookCopy,
    WebhookMessage,
    WebhookSecret,
)
from halley.api.presentation.withheld import require_read
from halley.api.resources.bodies import read_small_object
from halley.api.waiting.hub import EVERY
from halley.api.waiting.streams import (
    HELLO,
    KEEP_ALIVE,
    KEEP_ALIVE_SECONDS,
    begin_stream,
    frame,
    open_stream,
    wants_stream,
)
from halley.clock import rfc3339
from halley.errors import BadRequest, NotFound
from halley.ids import is_id
from halley.keys.records import Scope
from halley.predictions.records import Prediction
from halley.webhooks.events import DEFAULT_EVENTS, WebhookEvent
from halley.webhooks.listening import Copy, MessageFilter, MessageListener
from halley.webhooks.records import Delivery, Message

_PAGE: Final = 100
_PACE_SECONDS: Final = 0.02  # between two reads of the log for a listener
_NO_STORE: Final = (b"cache-control", b"no-store")


async def get_secret(call: Call, parts: ApiContext) -> Response:
    """Row 31."""
    require_read(call)
    secret = await parts.webhooks.secret(call.account_id)
    return json_response(encode(WebhookSecret(key=secret)), headers=[_NO_STORE])


async def rotate_secret(call: Call, parts: ApiContext) -> Response:
    """Replace the secret; both are used until the overlap ends."""
    require_read(call)
    members = await read_small_object(call, parts)
    try:
        wanted = msgspec.convert(members, RotateWebhookSecret)
    except msgspec.ValidationError as error:
        raise invalid("type", "overlap_seconds", "must be a number of seconds, 0 to 2592000") from error
    rotated = await parts.webhooks.rotate(call.account_id, wanted.overlap_seconds)
    shown = NewWebhookSecret(key=rotated.secret, previous_ends_at=rfc3339(rotated.previous_ends_at))
    return json_response(encode(shown), headers=[_NO_STORE])


async def list_deliveries(call: Call, parts: ApiContext) -> Response:
    """The delivery log, newest first; with `prediction` only of that one."""
    query = call.query()
    cursor, limit = read_cursor(query), read_limit(query, _PAGE)
    if cursor is not None and (cursor.side != "older" or not is_id(cursor.mark)):
        raise BadRequest("The cursor is not valid: use the `next` URL of a list.")
    found = await parts.webhooks.page(
        call.account_id,
        limit=limit + 1,
        before=cursor.mark if cursor else None,
        prediction_id=query.get("prediction") or None,
    )
    body = PageBody(parts.limits.page_bytes)
    for delivery in found[:limit]:
        if not body.take(_shown(delivery)):
            break
    mark = found[len(body) - 1].id if len(found) > len(body) else None
    # as in the list of files: the log is read in one direction
    return body.answer(page_link(call.variant, "/webhooks/deliveries", query, "older", mark), None)


async def get_delivery(call: Call, parts: ApiContext) -> Response:
    """One delivery, with its request body if that is stored."""
    delivery = await parts.webhooks.delivery(_id(call), call.account_id)
    body = await parts.webhooks.body(delivery)
    shown = _shown(delivery)
    shown.request.body = None if body is None else body.decode()
    return json_response(encode(shown))


async def resend(call: Call, parts: ApiContext) -> Response:
    """Send the message of a delivery again: the same id and body, a fresh signature."""
    require_read(call)
    message = await parts.webhooks.resend(_id(call), call.account_id)
    return json_response(encode(_message(message)), 202)


async def listen(call: Call, parts: ApiContext) -> Response:
    """The messages for receivers: the present ones, or with `Accept: text/event-stream` a stream of them."""
    query = call.query()
    sent = (call.header(b"last-event-id") or "").strip() or query.get("after", "")
    after = read_whole_number({"after": sent}, "after", 0) if sent else None
    # a receiver has no user agent: its files are links
    variant = msgspec.structs.replace(call.variant, data_urls=False)

    async def draw(row: Prediction) -> bytes:
        return await parts.presenter.encoded(row, variant)

    wanted = MessageFilter(
        account_id=call.account_id,
        key_id=call.identity.key.id if query.get("key") == "own" else None,
        events=_events(query.get("events", "")),
    )
    created_after = read_time(query, "since")
    listener = await parts.webhooks.listener(wanted, draw, after=after, created_after=created_after)
    if wants_stream(call.joined(b"accept")):
        begin_stream(call)
        return open_stream(_follow(call, parts, listener))
    copies = [_copy(copy) for copy in await listener.hear()]
    return json_response(encode(WebhookCopies(position=listener.position, results=copies)), headers=[_NO_STORE])


async def _follow(call: Call, parts: ApiContext, listener: MessageListener) -> AsyncGenerator[bytes, None]:
    monotonic = parts.clock.monotonic
    with parts.hub.enter(EVERY, call.scope) as hold:
        hold.end_with_key((call.identity.key.id, Scope.READ))
        yield HELLO
        silent_until = monotonic() + KEEP_ALIVE_SECONDS
        # otherwise the client has disconnected, its key is invalid, or the server stops; it may reconnect with its id
        while not hold.is_over:
            copies = await listener.hear()
            left = silent_until - monotonic()
            if not copies and left > 0:
                if await hold.changed(min(left, listener.due_seconds)) is not None:
                    await parts.clock.sleep(_PACE_SECONDS)
                continue
            frames = [frame("message", str(copy.position), encode(_copy(copy)).decode()) for copy in copies]
            yield b"".join(frames) or KEEP_ALIVE
            silent_until = monotonic() + KEEP_ALIVE_SECONDS


def _events(text: str) -> frozenset[WebhookEvent]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        return DEFAULT_EVENTS
    try:
        return frozenset(WebhookEvent(word) for word in words)
    except ValueError as error:
        raise invalid("enum", "events", f"must be a list with some of {', '.join(WebhookEvent)}") from error


def _copy(copy: Copy) -> WebhookCopy:
    return WebhookCopy(
        position=copy.position,
        id=copy.id,
        prediction=copy.prediction_id,
        event=copy.event.value,
        headers=copy.headers,
        body=copy.body.decode(),
    )


def _id(call: Call) -> str:
    if not is_id(call.params[0]):
        raise NotFound(f"There is no delivery {call.params[0][:64]!r}.")
    return call.params[0]


def _shown(delivery: Delivery) -> DeliveryBody:
    answer: DeliveryAnswer | None = None
    if delivery.status is not None:
        answer = DeliveryAnswer(status=delivery.status, body=delivery.answer.decode("utf-8", "replace"))
    state: Any = "sending" if delivery.outcome is None else delivery.outcome.value
    return DeliveryBody(
        id=delivery.id,
        message=delivery.message_id,
        prediction=delivery.prediction_id,
        event=delivery.event.value,
        attempt=delivery.attempt,
        url=delivery.url,
        state=state,
        started_at=rfc3339(delivery.started_at),
        latency_seconds=None if delivery.latency_seconds is None else round(delivery.latency_seconds, 6),
        request=DeliveryRequest(
            headers=dict(delivery.headers), body_sha256=delivery.body_sha256, body_bytes=delivery.body_bytes
        ),
        response=answer,
        error=delivery.error,
        next_attempt_at=None if delivery.next_at is None else rfc3339(delivery.next_at),
    )


def _message(message: Message) -> WebhookMessage:
    return WebhookMessage(
        id=message.id,
        prediction=message.prediction_id,
        event=message.event.value,
        url=message.url,
        state=message.state.value,
        next_attempt_at=None if message.next_at is None else rfc3339(message.next_at),
    )
