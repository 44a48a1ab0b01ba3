"""Finding models: collections, which the configuration makes, and search. Source: contract sections 1 and 10.5."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.paging import PageBody, read_whole_number
from halley.api.presentation.present import encode
from halley.api.presentation.problems import invalid
from halley.api.presentation.wire.finding import (
    CollectionBody,
    CollectionPage,
    EmptyPage,
    FoundMetadata,
    FoundModel,
    FullCollection,
    SearchResult,
)
from halley.api.resources.bodies import read_body
from halley.api.resources.models import shown_model
from halley.errors import BadRequest, NotFound, TooLarge
from halley.models.records import Model
from halley.models.search import ranked
from halley.settings import CollectionSettings

_MOST_FOUND: Final = 50
_FOUND: Final = 20
_QUERY_BYTES: Final = 8192


async def list_collections(call: Call, parts: ApiContext) -> Response:  # noqa: ARG001
    """Row 27: all of them, in the order of the configuration; there are few."""
    collections = parts.settings.collections
    results = [CollectionBody(**_members(slug, one)) for slug, one in collections.items()]
    return json_response(encode(CollectionPage(next=None, previous=None, results=results)))


async def get_collection(call: Call, parts: ApiContext) -> Response:
    """Row 28: with its models, as far as they are known here: an upstream that is away must not hide the others."""
    slug = call.params[0]
    collection = parts.settings.collections.get(slug)
    if collection is None:
        raise NotFound(f"There is no collection {slug[:100]!r}")
    found = [await parts.catalog.known_model(*name.split("/", 1)) for name in collection.models if "/" in name]
    models = await _as_many_as_fit(call, parts, [model for model in found if model is not None])
    return json_response(encode(FullCollection(**_members(slug, collection), models=models)))


async def query_models(call: Call, parts: ApiContext) -> Response:
    """Row 9: one page of the best matches."""
    found = await ranked(await parts.catalog.models(), await _text(call, parts))
    body = PageBody(parts.limits.page_bytes)
    for model, _ in found[:_MOST_FOUND]:
        if not body.take(await shown_model(call, parts, model)):
            break
    return body.answer(None, None)


async def search(call: Call, parts: ApiContext) -> Response:
    """Row 32: models and collections; this server has no pages to find."""
    query = call.query()
    text = query.get("query")
    if text is None:
        raise invalid("required", "query", "query is required")
    limit = min(_MOST_FOUND, max(1, read_whole_number(query, "limit", _FOUND)))
    found = (await ranked(await parts.catalog.models(), text))[:limit]
    models = await _as_many_as_fit(call, parts, [model for model, _ in found])
    hits = [
        FoundModel(
            model=shown,
            metadata=FoundMetadata(generated_description=model.description or "", score=score, tags=[]),
        )
        for shown, (model, score) in zip(models, found, strict=False)
    ]
    words = text.casefold().split()
    collections = [
        CollectionBody(**_members(slug, one))
        for slug, one in parts.settings.collections.items()
        if any(word in f"{slug} {one.name or ''} {one.description}".casefold() for word in words[:_FOUND])
    ]
    return json_response(encode(SearchResult(query=text, models=hits, collections=collections, pages=[])))


async def empty_page(call: Call, parts: ApiContext) -> Response:  # noqa: ARG001
    """Rows 14, 19 and 22: lists of things that this server does not have. Tools request them to learn that."""
    return json_response(encode(EmptyPage(next=None, previous=None, results=[])))


async def model_examples(call: Call, parts: ApiContext) -> Response:
    """Row 14: no model has any, but the model must exist."""
    owner, name = call.params
    if await parts.catalog.model(owner, name) is None:
        raise NotFound(f"There is no model {owner[:100]}/{name[:100]}")
    return await empty_page(call, parts)


async def _as_many_as_fit(call: Call, parts: ApiContext, models: Iterable[Model]) -> list[msgspec.Raw]:
    """The first models as JSON, as many as fit on a page: each includes a whole schema."""
    left = parts.limits.page_bytes
    found: list[msgspec.Raw] = []
    for model in models:
        encoded = encode(await shown_model(call, parts, model))
        left -= len(encoded)
        if left < 0 and found:
            break
        found.append(msgspec.Raw(encoded))
    return found


async def _text(call: Call, parts: ApiContext) -> str:
    """The search text: the body as text, or as a JSON string (contract 10.1)."""
    length = call.headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > _QUERY_BYTES:
        raise _too_long()
    held = call.held_body = parts.bodies.hold(call.identity.key.id)
    body = await read_body(call, held, _QUERY_BYTES)
    if len(body) > _QUERY_BYTES:
        raise _too_long()
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("The query is not UTF-8.") from error
    try:
        return msgspec.json.decode(body, type=str)
    except msgspec.DecodeError:
        return text


def _too_long() -> TooLarge:
    return TooLarge(f"The query is longer than {_QUERY_BYTES} bytes.")


def _members(slug: str, collection: CollectionSettings) -> dict[str, Any]:
    return {
        "name": collection.name or slug,
        "slug": slug,
        "description": collection.description,
        "full_description": collection.full_description,
    }
