"""Get, cancel and list predictions. Source: contract sections 7 to 9."""

from datetime import timedelta
from typing import Any, Final

from halley.api import held, wire
from halley.api.asgi import Answer, Call, json_answer
from halley.api.paging import page_link, read_cursor, read_limit, read_time
from halley.api.parts import Parts
from halley.api.present import encode
from halley.api.problems import invalid
from halley.errors import BadRequest, NotFound
from halley.ids import is_id
from halley.predictions.status import Source

_PAGE: Final = 100
_WEB_DAYS: Final = 14  # `source=web` reaches back so far (contract section 9)


async def get(call: Call, parts: Parts) -> Answer:
    """Row 3. `Prefer: wait=n` holds it; so does an official client's habit of polling. See `api.held`."""
    return await held.get(call, parts, path_id(call.params[0], "prediction"))


async def cancel(call: Call, parts: Parts) -> Answer:
    """Row 4: 200 with the whole prediction, whatever its state. The body is not looked at."""
    row = await parts.predictions.cancel(path_id(call.params[0], "prediction"), call.account_id)
    parts.cache.forget(row.id)
    return json_answer(await parts.presenter.encoded(row, call.variant))


async def delete_data(call: Call, parts: Parts) -> Answer:
    """Remove what a prediction took, gave and said; what happened to it stays. An extension of ours."""
    prediction_id = path_id(call.params[0], "prediction")
    await parts.retention.remove_now(prediction_id, call.account_id)
    parts.cache.forget(prediction_id)
    return Answer(status=204)


async def list_all(call: Call, parts: Parts) -> Answer:
    """Row 2: newest first, without logs (`include=logs` adds them)."""
    query = call.query()
    cursor = read_cursor(query)
    if cursor is not None and not is_id(cursor.mark):
        raise BadRequest("The cursor is not one of ours: follow `next` or `previous` of a list.")
    found: dict[str, Any] = _filters(query, parts)
    if cursor is not None:
        found[f"{cursor.side}_than"] = cursor.mark
    page = await parts.predictions.page(call.account_id, limit=read_limit(query, _PAGE), **found)
    items = list(page.items)
    with_logs = "logs" in query.get("include", "").split(",")
    if with_logs:
        items = [await parts.predictions.get(item.id, call.account_id) for item in items]
    show = parts.presenter.prediction
    results = [show(item, call.variant, with_logs=with_logs) for item in items]
    last = items[-1].id if items and page.has_older else None
    first = items[0].id if items and page.has_newer else None
    shown = wire.PredictionPage(
        next=page_link(call.variant, "/predictions", query, "older", last),
        previous=page_link(call.variant, "/predictions", query, "newer", first),
        results=results,
    )
    return json_answer(encode(shown))


def _filters(query: dict[str, str], parts: Parts) -> dict[str, Any]:
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
    """The id in a path; what cannot be one is absent, without a look at the store.

    Raises:
        NotFound: it has not the form of an id.
    """
    if not is_id(text):
        raise NotFound(f"There is no {what} {text[:64]!r}")
    return text
