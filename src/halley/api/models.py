"""Models and versions, to read. Source: contract sections 10.1 and 10.2."""

from collections.abc import Sequence
from typing import Final

from halley.api import present, wire
from halley.api.asgi import Answer, Call, json_answer
from halley.api.paging import Cursor, page_link, read_cursor, read_limit
from halley.api.parts import Parts
from halley.api.present import encode
from halley.api.problems import invalid
from halley.errors import BadRequest, NotFound
from halley.models.records import Model

_MODELS: Final = 25
_VERSIONS: Final = 100
_SORT_BY: Final = ("latest_version_created_at", "model_created_at")
_DIRECTIONS: Final = ("desc", "asc")


async def list_models(call: Call, parts: Parts) -> Answer:
    """Row 7."""
    query = call.query()
    by = _one_of(query, "sort_by", _SORT_BY)
    direction = _one_of(query, "sort_direction", _DIRECTIONS)
    models = await parts.catalog.models()
    models.sort(key=lambda model: _age(model, by), reverse=direction == "desc")
    marks = [model.full_name for model in models]
    start, end = _window(marks, read_cursor(query), read_limit(query, _MODELS))
    shown = [await _shown(call, parts, model) for model in models[start:end]]
    older, newer = _neighbours(marks, start, end)
    page = wire.ModelPage(
        next=page_link(call.variant, "/models", query, "older", older),
        previous=page_link(call.variant, "/models", query, "newer", newer),
        results=shown,
    )
    return json_answer(encode(page))


async def get_model(call: Call, parts: Parts) -> Answer:
    """Row 10."""
    return json_answer(encode(await _shown(call, parts, await _model(call, parts))))


async def list_versions(call: Call, parts: Parts) -> Answer:
    """Row 15: newest first."""
    query = call.query()
    model = await _model(call, parts)
    versions = await parts.models.list_versions(model.full_name)
    marks = [version.id for version in versions]
    start, end = _window(marks, read_cursor(query), read_limit(query, _VERSIONS))
    older, newer = _neighbours(marks, start, end)
    path = f"/models/{model.full_name}/versions"
    page = wire.VersionPage(
        next=page_link(call.variant, path, query, "older", older),
        previous=page_link(call.variant, path, query, "newer", newer),
        results=[present.version(version) for version in versions[start:end]],
    )
    return json_answer(encode(page))


async def get_version(call: Call, parts: Parts) -> Answer:
    """Row 16."""
    model = await _model(call, parts)
    version = await parts.models.get_version(call.params[2])
    if version is None or version.model != model.full_name:
        raise NotFound(f"The model {model.full_name} has no version {call.params[2][:64]!r}")
    return json_answer(encode(present.version(version)))


async def _model(call: Call, parts: Parts) -> Model:
    owner, name = call.params[:2]
    model = await parts.catalog.model(owner, name)
    if model is None:
        raise NotFound(f"There is no model {owner[:100]}/{name[:100]}")
    return model


async def _shown(call: Call, parts: Parts, model: Model) -> wire.Model:
    latest = None
    if model.latest_version_id is not None:
        latest = await parts.models.get_version(model.latest_version_id)
    return parts.presenter.model(model, latest, call.variant)


def _age(model: Model, by: str) -> tuple[float, str]:
    at = model.created_at if by == "model_created_at" else model.latest_version_at or model.created_at
    return at.timestamp(), model.full_name


def _window(marks: Sequence[str], cursor: Cursor | None, limit: int) -> tuple[int, int]:
    """Which items are on the page."""
    if cursor is None:
        return 0, min(limit, len(marks))
    if cursor.mark not in marks:
        raise BadRequest("The cursor leads nowhere (any more): begin the list anew.")
    at = marks.index(cursor.mark)
    return (at + 1, min(at + 1 + limit, len(marks))) if cursor.side == "older" else (max(0, at - limit), at)


def _neighbours(marks: Sequence[str], start: int, end: int) -> tuple[str | None, str | None]:
    """The marks of the pages after and before this one."""
    if start >= end:
        return None, None
    return marks[end - 1] if end < len(marks) else None, marks[start] if start > 0 else None


def _one_of(query: dict[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = query.get(name) or allowed[0]
    if value not in allowed:
        raise invalid("enum", name, f"must be one of {', '.join(allowed)}")
    return value
