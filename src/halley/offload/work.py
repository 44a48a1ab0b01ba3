"""The work of the JSON process: bytes in, a small reply out. It keeps compiled schemas only."""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Any, Final

import msgspec

from halley import strict_json
from halley.assets.data_urls import is_data_url
from halley.assets.inline import check_data_urls
from halley.assets.inputs import check_all
from halley.assets.positions import FilePosition, at, places, read_places, with_texts
from halley.errors import BadRequest, InputInvalid, InvalidField
from halley.models.validation import AnyInput, InputSchema
from halley.offload import messages
from halley.predictions.inputs import look
from halley.predictions.large import LINKS_LIMIT, BodyOutline, Link

_SCHEMAS: Final = 8
_TEXT_CHARACTERS: Final = 64 * 1024  # of a member that should be short: a longer one is refused by its own limit
_NAMES: Final = 1000  # of unknown members
_NAME_CHARACTERS: Final = 256
_ITEMS: Final = 1000
_CONTEXT_BYTES: Final = 2**20


class _Envelope(msgspec.Struct):
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_envelope: Final = msgspec.json.Decoder(_Envelope).decode


def answer(request: messages.Request) -> messages.Reply:
    """Do what the request asks for.

    Raises:
        HalleyError: the caller's input is at fault.
    """
    return _WORK[type(request)](request)


def _parse(request: messages.Parse) -> messages.Parsed:
    body = request.body
    members = strict_json.parse(body, request)
    if not isinstance(members, dict):
        raise BadRequest("The body must be a JSON object.")
    head = request.digest_head
    digest = None if head is None else sha256(head + msgspec.json.encode(members, order="sorted")).digest()
    given = members.get("input")
    kind, start, end = "object" if isinstance(given, dict) else "absent" if given is None else "other", 0, 0
    if kind == "object":
        raw = bytes(_envelope(body).input)  # type: ignore[arg-type]
        check_data_urls(given, len(raw), request.inline_data_bytes)
        start = body.find(raw)  # wherever these bytes occur first, they are the same
        end = start + len(raw)
    outline = BodyOutline(
        members=msgspec.json.encode(_short_members(members)),
        input_kind=kind,  # type: ignore[arg-type]
        start=start,
        end=end,
        digest=digest,
        body_digest=blake2b(body).digest(),
    )
    return messages.Parsed(outline=outline)


def _short_members(members: dict[str, Any]) -> dict[str, Any]:
    """The members that the server itself uses; of unknown members only the names."""
    short: dict[str, Any] = {name[:_NAME_CHARACTERS]: None for name in list(members)[:_NAMES]}
    for name in ("version", "webhook", "webhook_completed"):
        if name in members:
            text = members[name]
            short[name] = text[:_TEXT_CHARACTERS] if isinstance(text, str) else _kind_of(text)
    if "webhook_events_filter" in members:
        events = members["webhook_events_filter"]
        short["webhook_events_filter"] = (
            [item[:_NAME_CHARACTERS] if isinstance(item, str) else None for item in events[:_ITEMS]]
            if isinstance(events, list)
            else _kind_of(events)
        )
    if "context" in members:
        context = members["context"]
        if len(msgspec.json.encode(context)) > _CONTEXT_BYTES:
            fault = f"is larger than {_CONTEXT_BYTES} bytes"
            raise InputInvalid((InvalidField(type="max_length", field="context", description=fault),))
        short["context"] = context
    return short


def _kind_of(value: Any) -> Any:
    """A small value of the same type."""
    return value if value is None or isinstance(value, bool | int | float) else {}


def _examine(request: messages.Examine) -> messages.Examined:
    value = msgspec.json.decode(request.input_json)
    schema, where = _schema(request.version, request.document)
    found = _links(where, value)
    if not (faults := schema.faults(value, request.most)):
        check_all([link for link in found if is_data_url(link[1])], request.inline_data_bytes)
    # the server checks the others itself: it knows which addresses are allowed
    links = [(pointer, link[:_TEXT_CHARACTERS]) for pointer, link in found if not is_data_url(link)]
    findings = look(schema, links, value, faults, strict=request.strict, most=request.most)
    return messages.Examined(findings=findings)


def _links(where: FilePosition | None, value: Any) -> list[Link]:
    found: list[Link] = []
    for link in places(where, value) if where is not None else ():
        found.append(link)
        if len(found) > LINKS_LIMIT:
            break
    return found


def _texts(request: messages.Texts) -> messages.FoundTexts:
    value = msgspec.json.decode(request.value)
    return messages.FoundTexts(texts=tuple(_text_at(value, pointer) for pointer in request.pointers))


def _text_at(value: Any, pointer: Any) -> str | None:
    try:
        found = at(value, pointer)
    except (LookupError, TypeError, ValueError):
        return None
    return found if isinstance(found, str) else None


def _all_links(request: messages.Links) -> messages.Linked:
    _, where = _schema(request.version, request.document)
    return messages.Linked(links=tuple(_links(where, msgspec.json.decode(request.input_json))))


def _fill(request: messages.Fill) -> messages.Filled:
    return messages.Filled(value=with_texts(request.value, request.texts))


@lru_cache(_SCHEMAS)
def _schema(version: str, document: bytes) -> tuple[InputSchema | AnyInput, FilePosition | None]:  # noqa: ARG001
    return (InputSchema(document), read_places(document)) if document else (AnyInput(), None)


_WORK: Final[dict[type, Callable[[Any], messages.Reply]]] = {
    messages.Parse: _parse,
    messages.Examine: _examine,
    messages.Unfit: lambda request: messages.Judged(fault=strict_json.unfit(request.value)),
    messages.Texts: _texts,
    messages.Links: _all_links,
    messages.Fill: _fill,
}
