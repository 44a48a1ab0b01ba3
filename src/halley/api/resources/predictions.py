"""Get, cancel and list predictions. Source: contract sections 7 to 9."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.paging import PageBody, page_link, read_cursor, read_limit, read_time
from halley.api.presentation.problems import invalid
from halley.api.presentation.statuses import meant_by
from halley.api.waiting import long_poll
from halley.api.waiting.hold import GONE_KEY
from halley.errors import BadRequest, NotFound
from halley.ids import FIRST_ID, LAST_ID, is_id
from halley.predictions.filters import FILTER_MEMBERS, read_filter
from halley.predictions.records import Prediction
from halley.predictions.search import FoundPredictions, SearchPart
from halley.predictions.status import Source
from halley.strict_json import HEAVY_BYTES

_PAGE: Final = 100
_SEARCHED: Final = frozenset(FILTER_MEMBERS) - {"created_after", "created_before"} | {"source"}
_BEYOND: Final = {False: FIRST_ID, True: LAST_ID}  # from where an empty last page leads back
_WEB_DAYS: Final = 14  # `source=web` covers so many days (contract section 9)


async def get(call: Call, parts: ApiContext) -> Response:
    """Row 3. `Prefer: wait=n` holds the answer; polls of official clients are held, too. See
    `api.waiting.long_poll`.
    """
    return await long_poll.get(call, parts, path_id(call.params[0], "prediction"))


async def cancel(call: Call, parts: ApiContext) -> Response:
    """Row 4: 200 with the whole prediction, in any state. The body is ignored."""
    row = await parts.predictions.cancel(path_id(call.params[0], "prediction"), call.account_id)
    parts.cache.forget(row.id)
    return json_response(await parts.presenter.encoded(row, call.variant))


async def delete_data(call: Call, parts: ApiContext) -> Response:
    """Remove input, output and logs of a prediction; its history stays. An extension."""
    prediction_id = path_id(call.params[0], "prediction")
    await parts.retention.remove_now(prediction_id, call.account_id)
    parts.cache.forget(prediction_id)
    return Response(status=204)


async def list_all(call: Call, parts: ApiContext) -> Response:
    """Row 2: newest first, without logs (`include=logs` adds them). The filters are extensions."""
    query = call.query()
    cursor = read_cursor(query)
    if cursor is not None and not is_id(cursor.mark):
        raise BadRequest("The cursor is not valid: use the `next` or `previous` URL of a list.")
    found: dict[str, Any] = _filters(query, parts)
    if cursor is not None:
        found[f"{cursor.side}_than"] = cursor.mark
    limit, limit_bytes = read_limit(query, _PAGE), parts.limits.page_bytes
    backwards = "newer_than" in found
    resume = None
    if query.keys().isdisjoint(_SEARCHED):
        page = await parts.predictions.page(call.account_id, limit=limit, limit_bytes=limit_bytes, **found)
    else:
        searched = await search(call, parts, query, found, limit)
        page, resume = searched, searched.resume or (None if searched.items else _BEYOND[backwards])
    has_older, has_newer, rows = page.has_older, page.has_newer, list(page.items)
    del page  # each row is released once it is on the page: a single one may have 60 MiB
    body = PageBody(limit_bytes, backwards=backwards)
    rows = rows if backwards else rows[::-1]
    ids = await _fill(body, rows, call, parts, await _wanted_more(query, rows, parts))
    # rows that did not fit are on the next page in the same direction
    is_cut = len(rows) > 0
    shown = ids[::-1] if backwards else ids
    has_older |= is_cut and not backwards
    has_newer |= is_cut and backwards
    newest, oldest = (shown[0], shown[-1]) if shown else (None, None)
    if resume is not None and not is_cut:  # continue where the search stopped, not at the last one that it found
        newest, oldest = (resume, oldest or resume) if backwards else (newest or resume, resume)
    return body.answer(
        page_link(call.variant, "/predictions", query, "older", oldest if has_older else None),
        page_link(call.variant, "/predictions", query, "newer", newest if has_newer else None),
    )


async def search(
    call: Call, parts: ApiContext, query: Mapping[str, str], found: Mapping[str, Any], limit: int
) -> FoundPredictions:
    """The page of a list with filters. `found`: where it begins, its times and its source."""
    times = {name: found.get(name) for name in ("created_after", "created_before")}
    wanted = msgspec.structs.replace(read_filter(query, strict=False), **times)
    wanted = meant_by(wanted, expose_aborted=call.variant.expose_aborted)
    part = SearchPart(
        limit=limit,
        limit_bytes=parts.limits.page_bytes,
        older_than=found.get("older_than"),
        newer_than=found.get("newer_than"),
        is_over=lambda: GONE_KEY in call.scope,
    )
    return await parts.overview.search(call.account_id, wanted, part, source=found.get("source"))


class _More(NamedTuple):
    """What each item of a list shall have that others have not."""

    logs: bool
    tags: Mapping[str, Sequence[str]]


async def _wanted_more(query: Mapping[str, str], rows: list[Prediction], parts: ApiContext) -> _More:
    words = query.get("include", "").split(",")
    tags = await parts.overview.tags_of([row.id for row in rows]) if "tags" in words else {}
    return _More("logs" in words, tags)


async def _fill(body: PageBody, rows: list[Prediction], call: Call, parts: ApiContext, more: _More) -> list[str]:
    """Add rows to the page, from the last one, as many as fit; the others stay in `rows`."""
    ids: list[str] = []
    while rows:
        row = rows[-1]
        tags = more.tags.get(row.id)
        if more.logs:
            row = await parts.predictions.get(row.id, row.account_id)
        elif not row.is_terminal:  # a running one includes its output so far
            row = await parts.predictions.filled(row)
        if more.logs or tags:
            item = parts.presenter.prediction(row, call.variant, with_logs=more.logs)
            item.tags = list(tags) if tags else UNSET
            fits = body.take(item)
        else:
            fits = body.take_encoded(parts.listed.of(row, call.variant))
        if not fits:
            break
        ids.append(row.id)
        rows.pop()
        del row
        if body.size_bytes > HEAVY_BYTES:
            await asyncio.sleep(0)  # copying takes long: let other tasks run in between
    return ids


def _filters(query: dict[str, str], parts: ApiContext) -> dict[str, Any]:
    found: dict[str, Any] = {
        "created_after": read_time(query, "created_after"),
        "created_before": read_time(query, "created_before"),
    }
    source = query.get("source")
    if source:
        if source != Source.WEB:
            raise invalid("enum", "source", "the only supported value is web")
        earliest = parts.clock.now() - timedelta(days=_WEB_DAYS)
        found["source"] = Source.WEB
        found["created_after"] = max(found["created_after"] or earliest, earliest)
    return {name: value for name, value in found.items() if value is not None}


def path_id(text: str, what: str) -> str:
    """The id in a path; an invalid one is reported as absent, without reading the store.

    Raises:
        NotFound: it does not have the form of an id.
    """
    if not is_id(text):
        raise NotFound(f"There is no {what} {text[:64]!r}")
    return text
