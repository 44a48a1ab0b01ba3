"""Create, get, cancel and list predictions. Source: contract sections 6 to 9."""

import logging
from datetime import timedelta
from functools import partial
from typing import Any, Final

from halley.api import held, wire
from halley.api.asgi import Answer, Call, Headers, Variant, json_answer
from halley.api.bodies import create_request, read_object
from halley.api.holds import GONE_KEY
from halley.api.paging import page_link, read_cursor, read_limit, read_time
from halley.api.parts import Parts
from halley.api.preferences import applied, cancel_abandoned, cancel_after_seconds, wait_seconds
from halley.api.present import encode
from halley.api.problems import invalid
from halley.api.waiters import Look, Until, later
from halley.errors import BadRequest, NotFound, Overloaded, VersionUnknown
from halley.ids import is_id
from halley.predictions.records import Prediction
from halley.predictions.service import Watching
from halley.predictions.status import Source

_log: Final = logging.getLogger(__name__)
_PAGE: Final = 100
_IN_TASK_SECONDS: Final = 1.0
_WEB_DAYS: Final = 14  # `source=web` reaches back so far (contract section 9)


async def create(call: Call, parts: Parts) -> Answer:
    """Row 1: the body names the version."""
    return await _create(call, parts, None)


async def create_for_model(call: Call, parts: Parts) -> Answer:
    """Row 5: the path names the model."""
    owner, name = call.params
    try:
        return await _create(call, parts, f"{owner}/{name}")
    except VersionUnknown as error:
        raise NotFound(f"There is no model {owner[:100]}/{name[:100]} that can run here.") from error


async def _create(call: Call, parts: Parts, reference: str | None) -> Answer:
    if parts.is_draining:
        raise Overloaded("The server is stopping and takes no new predictions.")
    members, body = await read_object(call, parts.limits)
    prefer = call.joined(b"prefer")
    wait, abandoned = wait_seconds(prefer, parts.limits.wait_create_max_seconds), cancel_abandoned(prefer)
    headers = [] if wait is None and abandoned is None else [applied(wait, abandoned=abandoned)]
    request = create_request(
        members,
        body,
        parts.limits,
        variant=call.variant,
        url_fault=parts.webhooks.fault,
        reference=reference,
        cancel_after=cancel_after_seconds(call.header(b"cancel-after")),
        with_wait=wait is not None,
        cancel_abandoned=call.identity.key.options.cancel_abandoned if abandoned is None else abandoned,
    )
    identity = call.identity
    if wait is None:
        created = await parts.predictions.create(request, identity.account.id, identity.key.id)
        headers = [_location(call, created), *headers]
        return json_answer(encode(parts.presenter.prediction(created, call.variant)), 201, headers)
    prediction_id = parts.predictions.reserve_id()
    with parts.predictions.watch(prediction_id) as watching:  # before the create: then no change can be missed
        created = await parts.predictions.create(
            request, identity.account.id, identity.key.id, prediction_id=prediction_id
        )
        with parts.attendance.waiting(created, lambda: GONE_KEY not in call.scope):
            return await _waited(call, parts, created, wait, watching, [_location(call, created), *headers])


def _location(call: Call, created: Prediction) -> tuple[bytes, bytes]:
    return b"location", f"{call.variant.base}/predictions/{created.id}".encode()


async def _waited(
    call: Call, parts: Parts, created: Prediction, wait: float, watching: Watching, headers: Headers
) -> Answer:
    """The answer to a create that is stored already: from here on nothing may look like a failed create."""
    tell = partial(_created_in_time, parts, created, call.variant, headers)
    try:
        # most are over soon: then a task that waits costs less than to let it go and have another one answer
        end = parts.clock.monotonic() + wait
        waiting = parts.predictions.wait_watched(created, watching, min(wait, _IN_TASK_SECONDS))
        row = await parts.holds.wait(call.scope, waiting)
        left = end - parts.clock.monotonic()
        if row is not None and not row.is_terminal and left > 0 and GONE_KEY not in call.scope:
            return later(parts.waiters.enter(created.id).keep(created, Until.END, tell, seconds=left))
        return await tell(Look(created if row is None else row, 0))
    except Exception as error:  # noqa: BLE001  # the create stands, whatever happened to the wait
        return await tell(error)


async def _created_in_time(
    parts: Parts, created: Prediction, variant: Variant, headers: Headers, found: Look | Exception
) -> Answer:
    try:
        if isinstance(found, Look) and found.row.is_terminal:
            return json_answer(await parts.presenter.encoded(found.row, variant), 201, headers)
        if isinstance(found, Exception):
            raise found
    except Exception:  # noqa: BLE001  # as above
        _log.exception("prediction %s is stored, but waiting for it failed", created.id)
    # the time is over: the state at creation, whatever it is by now, else clients take it for the end (contract 0.1)
    return json_answer(encode(parts.presenter.prediction(created, variant)), 202, headers)


async def get(call: Call, parts: Parts) -> Answer:
    """Row 3. `Prefer: wait=n` holds it; so does an official client's habit of polling. See `api.held`."""
    return await held.get(call, parts, path_id(call.params[0], "prediction"))


async def cancel(call: Call, parts: Parts) -> Answer:
    """Row 4: 200 with the whole prediction, whatever its state. The body is not looked at."""
    row = await parts.predictions.cancel(path_id(call.params[0], "prediction"), call.account_id)
    parts.cache.forget(row.id)
    return json_answer(await parts.presenter.encoded(row, call.variant))


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
