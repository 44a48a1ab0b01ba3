"""Parses the body of a create into a `CreateRequest`. Source: contract section 6.2."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final

import msgspec

from halley import strict_json
from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Variant
from halley.api.http.budget import HeldBody
from halley.api.http.encodings import refuse_encoded
from halley.api.presentation.problems import all_invalid, invalid
from halley.assets.inline import check_data_urls
from halley.errors import BadRequest, InvalidField
from halley.predictions.large import BodyOutline
from halley.predictions.service import CreateRequest
from halley.predictions.tags import MOST_TAG_CHARACTERS, MOST_TAGS, distinct_tags, is_tag
from halley.settings import LimitSettings
from halley.webhooks.events import WebhookEvent

WEBHOOK_EVENTS: Final = tuple(WebhookEvent)
_SMALL_BYTES: Final = 64 * 1024
_USUAL: Final = frozenset({"input", "version"})
UrlFault = Callable[[object], str | None]
"""Returns why a create may not use this webhook URL, or None."""


class _Envelope(msgspec.Struct):
    # keeps the member's bytes as they were sent; everything else is decoded
    input: msgspec.Raw = msgspec.Raw(b"{}")


_envelope: Final = msgspec.json.Decoder(_Envelope).decode


async def read_body(call: Call, held: HeldBody, limit_bytes: int) -> bytes:
    """Read the whole body, which counts as `held` while it arrives.

    Raises:
        TooLarge: raised as soon as it is known.
        BadRequest: the client disconnected before its end.
        BodiesFull, Overloaded: too much is held already.
    """
    refuse_encoded(call)
    length = call.headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit_bytes:
        raise strict_json.too_large(limit_bytes)
    message = await call.receive()
    body: bytes = message.get("body", b"")
    held.grow(len(body))
    if message.get("more_body", False):
        body = await _rest(call, held, body, limit_bytes)
    elif message["type"] == "http.disconnect":
        raise BadRequest("The connection ended before the whole body arrived.")
    return body


async def _rest(call: Call, held: HeldBody, first: bytes, limit_bytes: int) -> bytes:
    body = BytesIO()  # releases its bytes without copying them
    body.write(first)
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("The connection ended before the whole body arrived.")
        piece = message.get("body", b"")
        if body.tell() + len(piece) > limit_bytes:
            raise strict_json.too_large(limit_bytes)
        held.grow(len(piece))
        body.write(piece)
        if not message.get("more_body", False):
            return body.getvalue()


class CreateBody(msgspec.Struct, frozen=True, gc=False):
    """The body of a create. For a large one, `members` are without the large values, and `outline` has their places."""

    members: dict[str, Any]
    raw: bytes
    outline: BodyOutline | None = None


async def read_create(call: Call, parts: ApiContext, digest_head: Callable[[], bytes | None]) -> CreateBody:
    """The JSON object in the body. A missing body counts as `{}`.

    `digest_head` returns the beginning of an idempotency key's digest; None without a key.

    Raises:
        BadRequest, TooLarge, InputInvalid: see strict_json.parse.
        BodiesFull, Overloaded: see read_body.
    """
    limits = parts.limits
    held = call.held_body = parts.bodies.hold(call.identity.key.id)
    body = await read_body(call, held, limits.json_body_bytes)
    if parts.large is None or not strict_json.is_heavy(body):
        return CreateBody(members_of(body, limits), body)
    await held.take_turn()
    outline = await parts.large.parse(body, limits, digest_head=digest_head())
    return CreateBody(strict_json.decode(outline.members), body, outline)


async def read_small_object(call: Call, parts: ApiContext) -> dict[str, Any]:
    """The same for an operation whose body has a few short values. Raises as `read_create` does."""
    limits = msgspec.structs.replace(parts.limits, json_body_bytes=min(parts.limits.json_body_bytes, _SMALL_BYTES))
    held = call.held_body = parts.bodies.hold(call.identity.key.id)
    return members_of(await read_body(call, held, limits.json_body_bytes), limits)


def members_of(body: bytes, limits: LimitSettings) -> dict[str, Any]:
    """The members of a small body, which must be an object. An empty body counts as `{}`. Raises as `read_create`."""
    if not body.strip():
        return {}
    value = strict_json.parse(body, limits)
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.")
    return value


def create_request(
    body: CreateBody,
    limits: LimitSettings,
    *,
    variant: Variant,
    url_fault: UrlFault,
    reference: str | None,
    cancel_after: float | None,
    with_wait: bool,
    cancel_abandoned: bool = False,
) -> CreateRequest:
    """The parsed create. `reference` is set if the path names the model; then `version` is ignored.

    Unknown members are ignored (contract D9; `ignored` counts them).

    Raises:
        InputInvalid: with all faults of the members.
        TooLarge: a `data:` input is over its limit.
    """
    faults: list[InvalidField] = []
    members = body.members
    given_input, input_json = _given_input(body, limits, faults)
    if reference is None:
        reference = members.get("version")
        if not isinstance(reference, str) or not reference:
            faults.append(_version_fault(reference))
            reference = ""
    context, webhook, events = None, None, None
    tags: tuple[str, ...] = ()
    if not members.keys() <= _USUAL:
        context = _context(members, faults)
        tags = _tags(members, faults)
        webhook, events = _webhook(members, url_fault, faults)
    if faults:
        all_invalid(faults)
    return CreateRequest(
        reference=reference,
        input=given_input,
        input_json=input_json,
        context=context,
        webhook=webhook,
        webhook_events_filter=events,
        link_base=None if webhook is None else variant.link_base,
        cancel_after_seconds=cancel_after,
        cancel_abandoned=cancel_abandoned,
        with_wait=with_wait,
        tags=tags,
    )


def _version_fault(reference: object) -> InvalidField:
    if reference is None:
        return InvalidField(type="required", field="version", description="version is required")
    if reference == "":
        return InvalidField(
            type="min_length", field="version", description="must not be empty: give owner/name or a version's id"
        )
    return InvalidField(type="type", field="version", description="must be a string")


def _given_input(
    body: CreateBody, limits: LimitSettings, faults: list[InvalidField]
) -> tuple[Mapping[str, Any] | None, bytes]:
    """The input and its bytes as they were sent. The input is None if it is too large to be decoded here."""
    outline = body.outline
    if outline is not None and outline.input_kind == "object":
        return None, body.raw[outline.start : outline.end]
    given = body.members.get("input")
    if outline is None and isinstance(given, dict):
        input_json = bytes(_envelope(body.raw).input)
        if len(input_json) > limits.inline_data_bytes:  # else no string in it can be over the limit
            check_data_urls(given, len(input_json), limits.inline_data_bytes)
        return given, input_json
    # a missing input is {} if the schema requires nothing; otherwise the schema reports what is missing
    if given is not None or (outline is not None and outline.input_kind == "other"):
        faults.append(InvalidField(type="type", field="input", description="must be an object"))
    return {}, b"{}"


def _context(members: dict[str, Any], faults: list[InvalidField]) -> dict[str, str] | None:
    """Text pairs for the model beside its input, as in Cog's server: an extension."""
    context = members.get("context")
    if context is None:
        return None
    if not isinstance(context, dict):
        faults.append(InvalidField(type="type", field="context", description="must be an object of strings"))
        return None
    for name, value in context.items():
        if not isinstance(value, str):
            text = "must be a string: write other values as JSON text"
            faults.append(InvalidField(type="type", field=f"context.{name[:100]}", description=text))
            return None  # one fault is enough: there may be thousands
    return context


def _tags(members: dict[str, Any], faults: list[InvalidField]) -> tuple[str, ...]:
    """Words to find it by: an extension."""
    tags = members.get("tags")
    if tags is None:
        return ()
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        faults.append(InvalidField(type="type", field="tags", description="must be a list of strings"))
    elif len(tags) > MOST_TAGS:
        faults.append(InvalidField(type="length", field="tags", description=f"must be at most {MOST_TAGS}"))
    elif not all(map(is_tag, tags)):
        text = f"each must have 1 to {MOST_TAG_CHARACTERS} printable characters, and no space at its ends"
        faults.append(InvalidField(type="format", field="tags", description=text))
    else:
        return distinct_tags(tags)
    return ()


def _webhook(
    members: dict[str, Any], url_fault: UrlFault, faults: list[InvalidField]
) -> tuple[str | None, tuple[str, ...] | None]:
    webhook, events = members.get("webhook"), members.get("webhook_events_filter")
    legacy = members.get("webhook_completed")
    if webhook is None and legacy is not None:
        webhook, events = legacy, ["completed"]
    if webhook is None and events is None:
        return None, None
    if webhook is not None and (fault := url_fault(webhook)) is not None:
        faults.append(InvalidField(type="format", field="webhook", description=fault))
    if events is None:
        return webhook, None
    if not isinstance(events, list) or any(event not in WEBHOOK_EVENTS for event in events if isinstance(event, str)):
        text = f"must be a list of {', '.join(WEBHOOK_EVENTS)}"
    elif all(isinstance(event, str) for event in events):
        return webhook, tuple(dict.fromkeys(events))
    else:
        text = "must be a list of strings"
    faults.append(InvalidField(type="enum", field="webhook_events_filter", description=text))
    return webhook, None


def text_member(members: dict[str, Any], name: str, *, required: bool = True) -> str:
    """A member that must be text.

    Raises:
        InputInvalid: it is absent, or of another type.
    """
    value = members.get(name)
    if value is None and not required:
        return ""
    if value is None:
        raise invalid("required", name, f"{name} is required")
    if not isinstance(value, str):
        raise invalid("type", name, "must be a string")
    return value
