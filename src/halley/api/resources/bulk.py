"""Actions on many predictions: an extension. They need `read` and `write`, as a filter can be used to read."""

from typing import Any, Final

from msgspec.structs import replace

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.paging import PageBody, page_link, read_cursor, read_limit
from halley.api.presentation.present import encode
from halley.api.presentation.problems import all_invalid, invalid
from halley.api.presentation.statuses import OFFICIAL, meant_by, shown_to
from halley.api.presentation.wire.bulk import (
    BulkActionBody,
    BulkExample,
    BulkItemBody,
    BulkPreview,
    BulkReason,
    BulkUrls,
)
from halley.api.presentation.withheld import require_read
from halley.api.resources.bodies import read_small_object
from halley.api.resources.idempotency import HEADER, REPLAYED
from halley.api.resources.predictions import path_id
from halley.api.waiting.hold import GONE_KEY
from halley.bulk.records import BulkAction, BulkItem, BulkKind, BulkOutcome, BulkState, ReasonCount
from halley.bulk.service import EXAMPLES, MOST_NAMED, BulkCaller, BulkRequest
from halley.clock import rfc3339
from halley.errors import BadRequest, InputInvalid, InvalidField, Overloaded
from halley.ids import is_id
from halley.predictions.filters import PredictionFilter, read_filter

_PAGE: Final = 20
_ITEMS: Final = 100
_WHAT: Final = "bulk action"
_MEMBERS: Final = frozenset({"action", "filter", "predictions", "limit"})
_MOST_LIMIT: Final = 10**9  # a larger one means the same, and no database could keep it
_MOST_ONCE: Final = 255


async def create(call: Call, parts: ApiContext) -> Response:
    """201 with the action, whose set is fixed now."""
    require_read(call)
    if parts.is_draining:
        raise Overloaded("The server is stopping and begins no bulk action.")
    request = _request(call, await read_small_object(call, parts))
    before = parts.clock.now()
    made = await parts.bulk.make(
        request,
        BulkCaller(
            account_id=call.account_id,
            key_id=call.identity.key.id,
            link_base=call.variant.link_base,
            idempotency_key=_idempotency_key(call),
        ),
    )
    shown = _shown(call, made)
    headers = [(b"location", shown.urls.get.encode()), *([REPLAYED] if made.created_at < before else [])]
    return json_response(encode(shown), 201, headers)


async def preview(call: Call, parts: ApiContext) -> Response:
    """200 with how many predictions the action would have if it were made now, and some of them. Nothing is done."""
    require_read(call)
    request = _request(call, await read_small_object(call, parts))
    if request.filter is not None and request.filter.created_before is None:
        until = replace(request.filter, created_before=parts.bulk.until_now())
        request = replace(request, filter=until)
    chosen = await parts.bulk.choose(request, call.account_id, is_over=lambda: GONE_KEY in call.scope)
    if chosen.is_part:
        raise BadRequest("The client closed its side of the connection before all predictions were counted.")
    rows = [await parts.predictions.outline(one, call.account_id) for one in chosen.ids[::-1][:EXAMPLES]]
    wanted = (
        None if request.narrowed is None else shown_to(request.narrowed, expose_aborted=call.variant.expose_aborted)
    )
    shown = BulkPreview(
        action=request.kind.value,
        filter=None if wanted is None else wanted.members(),
        description=_described(wanted, len(chosen.ids)),
        total=len(chosen.ids),
        is_more=chosen.is_more,
        examples=[
            BulkExample(
                id=row.id,
                model=row.model,
                status=(row.status if call.variant.expose_aborted else OFFICIAL[row.status]).value,
                created_at=rfc3339(row.created_at),
                error=row.error,
            )
            for row in rows
            if row is not None
        ],
    )
    return json_response(encode(shown))


async def list_all(call: Call, parts: ApiContext) -> Response:
    """The account's actions, newest first."""
    query = call.query()
    cursor, limit = read_cursor(query), read_limit(query, _PAGE)
    if cursor is not None and not is_id(cursor.mark):
        raise BadRequest("The cursor is not valid: use the `next` or `previous` URL of a list.")
    where = {} if cursor is None else {f"{cursor.side}_than": cursor.mark}
    page = await parts.bulk.page(call.account_id, limit, **where)
    body = PageBody(parts.limits.page_bytes)
    for action in page.items:
        body.take(_shown(call, action))  # an action is small: all fit
    first, last = (page.items[0].id, page.items[-1].id) if page.items else (None, None)
    return body.answer(
        page_link(call.variant, "/bulk-actions", query, "older", last if page.has_older else None),
        page_link(call.variant, "/bulk-actions", query, "newer", first if page.has_newer else None),
    )


async def get(call: Call, parts: ApiContext) -> Response:
    """One action: how far it is, and why predictions were skipped or failed."""
    action = await parts.bulk.get(path_id(call.params[0], _WHAT), call.account_id)
    return json_response(encode(await _with_reasons(call, parts, action)))


async def stop(call: Call, parts: ApiContext) -> Response:
    """200 with the action, which begins no further prediction; one that has ended is unchanged. The body is ignored."""
    require_read(call)
    action = await parts.bulk.stop(path_id(call.params[0], _WHAT), call.account_id)
    return json_response(encode(await _with_reasons(call, parts, action)))


async def list_items(call: Call, parts: ApiContext) -> Response:
    """The predictions of an action, in the order in which they are taken."""
    query = call.query()
    cursor, limit = read_cursor(query), read_limit(query, _ITEMS)
    if cursor is not None and (cursor.side != "older" or not cursor.mark.isdecimal() or len(cursor.mark) > 15):
        raise BadRequest("The cursor is not valid: use the `next` URL of a list.")
    action_id = path_id(call.params[0], _WHAT)
    found = await parts.bulk.items(
        action_id,
        call.account_id,
        limit + 1,
        outcome=_outcome(query.get("outcome", "")),
        after=-1 if cursor is None else int(cursor.mark),
    )
    body = PageBody(parts.limits.page_bytes)
    for item in found[:limit]:
        body.take(_item(item))
    mark = str(found[limit - 1].position) if len(found) > limit else None
    return body.answer(page_link(call.variant, f"/bulk-actions/{action_id}/items", query, "older", mark), None)


def _request(call: Call, members: dict[str, Any]) -> BulkRequest:
    """What is asked for.

    Raises:
        InputInvalid: with every fault.
    """
    faults = [
        InvalidField(type="unknown", field=name[:100], description=f"is not a member; choose from {sorted(_MEMBERS)}")
        for name in members
        if name not in _MEMBERS
    ]
    kind = _kind(members.get("action"), faults)
    wanted, named = _filter(members.get("filter"), faults), _named(members.get("predictions"), faults)
    limit = members.get("limit")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        faults.append(InvalidField(type="type", field="limit", description="must be a whole number, 1 or more"))
    if not faults and (wanted is None) == (not named):
        text = "give either a filter ({} means all predictions) or the ids of predictions"
        faults.append(InvalidField(type="required", field="filter", description=text))
    all_invalid(faults)
    if wanted is not None:
        wanted = meant_by(wanted, expose_aborted=call.variant.expose_aborted)
    return BulkRequest(kind=kind, filter=wanted, named=named, limit=None if limit is None else min(limit, _MOST_LIMIT))


def _kind(given: object, faults: list[InvalidField]) -> BulkKind:
    known = {kind.value: kind for kind in BulkKind}
    if not isinstance(given, str) or given not in known:
        faults.append(InvalidField(type="enum", field="action", description=f"must be one of {', '.join(known)}"))
        return BulkKind.CANCEL
    return known[given]


def _filter(given: object, faults: list[InvalidField]) -> PredictionFilter | None:
    if given is None:
        return None
    if not isinstance(given, dict) or not all(isinstance(text, str) for text in given.values()):
        text = 'must be an object of texts, for example {"status": "failed", "model": "acme/*"}'
        faults.append(InvalidField(type="type", field="filter", description=text))
        return None
    try:
        return read_filter(given)
    except InputInvalid as error:
        faults += [
            InvalidField(type=one.type, field=f"filter.{one.field}", description=one.description)
            for one in error.fields
        ]
        return None


def _named(given: object, faults: list[InvalidField]) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not 0 < len(given) <= MOST_NAMED:
        text = f"must be a list of 1 to {MOST_NAMED} ids"
    elif wrong := [one for one in given if not isinstance(one, str) or not is_id(one)]:
        text = f"there is no prediction {str(wrong[0])[:64]!r}"
    else:
        return tuple(dict.fromkeys(given))
    faults.append(InvalidField(type="value", field="predictions", description=text))
    return ()


def _idempotency_key(call: Call) -> str | None:
    key = call.header(HEADER)
    if key is not None and not (0 < len(key) <= _MOST_ONCE and key.isascii() and key.isprintable()):
        raise BadRequest("Idempotency-Key must be 1 to 255 visible ASCII characters.")
    return key


def _outcome(text: str) -> BulkOutcome | None:
    try:
        return BulkOutcome(text) if text else None
    except ValueError as error:
        raise invalid("enum", "outcome", f"must be one of {', '.join(BulkOutcome)}") from error


async def _with_reasons(call: Call, parts: ApiContext, action: BulkAction) -> BulkActionBody:
    shown = _shown(call, action)
    shown.reasons = [_reason(one) for one in await parts.bulk.reasons(action)]
    return shown


def _reason(one: ReasonCount) -> BulkReason:
    outcome: Any = one.outcome.value
    return BulkReason(outcome=outcome, reason=one.reason, count=one.count, example=one.example)


def _shown(call: Call, action: BulkAction) -> BulkActionBody:
    url = f"{call.variant.base}/bulk-actions/{action.id}"
    is_running = action.state is BulkState.RUNNING
    wanted = (
        None
        if action.filter is None
        else shown_to(read_filter(action.filter), expose_aborted=call.variant.expose_aborted)
    )
    return BulkActionBody(
        id=action.id,
        action=action.kind.value,
        filter=None if wanted is None else wanted.members(),
        description=_described(wanted, action.total),
        status=action.state.value,
        status_reason=action.waiting if is_running else action.reason,
        created_at=rfc3339(action.created_at),
        ended_at=None if action.ended_at is None else rfc3339(action.ended_at),
        total=action.total,
        done=action.done,
        skipped=action.skipped,
        failed=action.failed,
        remaining=action.remaining,
        urls=BulkUrls(get=url, stop=f"{url}/stop", items=f"{url}/items"),
    )


def _described(wanted: PredictionFilter | None, count: int) -> str:
    return f"{count} chosen predictions" if wanted is None else wanted.describe()


def _item(item: BulkItem) -> BulkItemBody:
    outcome: Any = None if item.outcome is None else item.outcome.value
    return BulkItemBody(prediction=item.prediction_id, outcome=outcome, reason=item.reason, rerun=item.rerun_id)
