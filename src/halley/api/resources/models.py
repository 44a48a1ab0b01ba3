"""Models and versions, to read. Source: contract sections 10.1 and 10.2."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation import present
from halley.api.presentation.paging import Cursor, PageBody, page_link, read_cursor, read_limit
from halley.api.presentation.present import encode
from halley.api.presentation.problems import invalid
from halley.api.presentation.wire.models import ModelBody, VersionBody
from halley.errors import BadRequest, NotFound
from halley.models.records import Model

_MODELS: Final = 25
_VERSIONS: Final = 100
_SORT_BY: Final = ("latest_version_created_at", "model_created_at")
_DIRECTIONS: Final = ("desc", "asc")


class _Window(NamedTuple):
    """Which items are on a page, and whether it ends at the cursor."""

    start: int
    end: int
    backwards: bool = False


async def list_models(call: Call, parts: ApiContext) -> Response:
    """Row 7."""
    query = call.query()
    by = _one_of(query, "sort_by", _SORT_BY)
    direction = _one_of(query, "sort_direction", _DIRECTIONS)
    ages = await parts.catalog.ages(of_creation=by == "model_created_at")
    marks = [age.full_name for age in (ages if direction == "desc" else reversed(ages))]

    async def shown(at: int) -> ModelBody | None:
        model = await parts.catalog.known_model(*marks[at].split("/", 1))
        return None if model is None else await shown_model(call, parts, model)

    window = _window(marks, read_cursor(query), read_limit(query, _MODELS))
    return await _page(call, parts, "/models", marks, window, shown)


async def get_model(call: Call, parts: ApiContext) -> Response:
    """Row 10."""
    return json_response(encode(await shown_model(call, parts, await _model(call, parts))))


async def list_versions(call: Call, parts: ApiContext) -> Response:
    """Row 15: newest first."""
    query = call.query()
    model = await _model(call, parts)
    marks = await parts.models.version_ids(model.full_name)

    async def shown(at: int) -> VersionBody | None:
        found = await parts.models.get_version(marks[at])
        return None if found is None else present.version(found)

    window = _window(marks, read_cursor(query), read_limit(query, _VERSIONS))
    return await _page(call, parts, f"/models/{model.full_name}/versions", marks, window, shown)


async def get_version(call: Call, parts: ApiContext) -> Response:
    """Row 16."""
    model = await _model(call, parts)
    version = await parts.models.get_version(call.params[2])
    if version is None and await parts.catalog.is_elsewhere(f"{model.full_name}:{call.params[2]}"):
        version = await parts.models.get_version(call.params[2])
    if version is None or version.model != model.full_name:
        raise NotFound(f"The model {model.full_name} has no version {call.params[2][:64]!r}")
    return json_response(encode(present.version(version)))


async def _page(
    call: Call,
    parts: ApiContext,
    path: str,
    marks: Sequence[str],
    window: _Window,
    shown: Callable[[int], Awaitable[Any]],
) -> Response:
    """The items of the window, as many as fit on a page; they are read one by one."""
    start, end = window.start, window.end
    body = PageBody(parts.limits.page_bytes, backwards=window.backwards)
    for at in range(end - 1, start - 1, -1) if window.backwards else range(start, end):
        item = await shown(at)
        if item is not None and not body.take(item):
            start, end = (at + 1, end) if window.backwards else (start, at)
            break
    older, newer = _neighbours(marks, start, end)
    query = call.query()
    return body.answer(
        page_link(call.variant, path, query, "older", older), page_link(call.variant, path, query, "newer", newer)
    )


async def _model(call: Call, parts: ApiContext) -> Model:
    owner, name = call.params[:2]
    model = await parts.catalog.model(owner, name)
    if model is None:
        raise NotFound(f"There is no model {owner[:100]}/{name[:100]}")
    return model


async def shown_model(call: Call, parts: ApiContext, model: Model) -> ModelBody:
    """The model with its newest version, as this caller sees it."""
    latest = None
    if model.latest_version_id is not None:
        latest = await parts.models.get_version(model.latest_version_id)
    return parts.presenter.model(model, latest, call.variant)


def _window(marks: Sequence[str], cursor: Cursor | None, limit: int) -> _Window:
    if cursor is None:
        return _Window(0, min(limit, len(marks)))
    if cursor.mark not in marks:
        raise BadRequest("The cursor is not valid any more: start again with the first page of the list.")
    at = marks.index(cursor.mark)
    if cursor.side == "older":
        return _Window(at + 1, min(at + 1 + limit, len(marks)))
    return _Window(max(0, at - limit), at, backwards=True)


def _neighbours(marks: Sequence[str], start: int, end: int) -> tuple[str | None, str | None]:
    """The marks of the next and the previous page."""
    if start >= end:
        return None, None
    return marks[end - 1] if end < len(marks) else None, marks[start] if start > 0 else None


def _one_of(query: dict[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = query.get(name) or allowed[0]
    if value not in allowed:
        raise invalid("enum", name, f"must be one of {', '.join(allowed)}")
    return value
