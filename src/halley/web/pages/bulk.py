"""Actions on many predictions: the list, one of them, and the question before one is made."""

import re
import secrets
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from halley.errors import BadRequest
from halley.web.forms_posted import PostedForm
from halley.web.views.bulk import MEMBERS, BulkLine, add_up, question_of, reasons_of
from halley.web.visit import Redirect, View, Visit

PATH: Final = "/ui/bulk"
_API: Final = "/v1/bulk-actions"
_MOST_PAIRS: Final = 1100
_NUMBER: Final = re.compile(r"\d{1,15}", re.ASCII)
_OUTCOMES: Final = (("", "All predictions"), ("failed", "Failed"), ("skipped", "Skipped"), ("done", "Done"))


async def show(visit: Visit) -> View:
    """All of them, newest first."""
    page = await visit.get(_API, visit.query)
    lines = [_line(one) for one in page["results"]]
    return View("bulk.html", {"bulk_actions": page}, page=page, lines=lines, is_live=_is_live(lines))


async def show_one(visit: Visit) -> View:
    """The progress of an action, and its predictions."""
    action = await visit.get(f"{_API}/{visit.part(0)}")
    query = {name: visit.query[name] for name in ("outcome", "cursor") if visit.query.get(name)}
    items = await visit.get(f"{_API}/{visit.part(0)}/items", {"limit": "50", **query})
    line = _line(action)
    return View(
        "bulk_action.html",
        {"bulk_action": action, "items": items},
        line=line,
        items_page=items,
        outcome_tabs=[(_tab(line, word), text) for word, text in _OUTCOMES],
        active_tab=_tab(line, query.get("outcome", "")),
        reasons=reasons_of(action),
        is_live=_is_live([line]),
    )


async def ask(visit: Visit) -> View:
    """Ask for confirmation: how many predictions the action would have, and some of them. Changes nothing."""
    try:
        pairs = parse_qsl(visit.call.scope.get("query_string", b"").decode("latin-1"), max_num_fields=_MOST_PAIRS)
    except ValueError as error:
        raise BadRequest("These are too many predictions. Choose fewer, or use a filter.") from error
    request = _request(pairs)
    preview = await visit.post(f"{_API}/preview", request)
    kind = preview["action"]
    return View(
        "bulk_new.html",
        {"preview": preview},
        question=question_of(preview),
        kind=kind,
        chosen=request.get("predictions", []),
        members=preview["filter"] or {},
        limit=preview["total"] if preview["is_more"] else None,
        once=secrets.token_hex(8),
        back=f"/ui/predictions?{urlencode(request['filter'])}" if request.get("filter") else "/ui/predictions",
    )


async def make(visit: Visit, form: PostedForm) -> Redirect:
    """Begin the action, once for each confirmation page."""
    pairs = [(name, value) for name, values in form.fields.items() for value in values]
    request = _request(pairs)
    if _NUMBER.fullmatch(form.get("limit")):
        request["limit"] = int(form.get("limit"))
    once = form.get("once")
    headers = ((b"idempotency-key", f"page-{once}".encode()),) if once.isalnum() and once.isascii() else ()
    made = await visit.post(_API, request, headers=headers)
    return Redirect(f"{PATH}/{made['id']}", "The action is under way. You can leave this page.")


async def stop(visit: Visit, form: PostedForm) -> Redirect:
    """Stop the action: no further prediction is begun."""
    del form
    await visit.post(f"{_API}/{visit.part(0)}/stop")
    return Redirect(f"{PATH}/{visit.params[0]}", "Stopped.")


def _request(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """The request to the API: for the predictions that were chosen one by one, or for all that match the filter."""
    values = dict(pairs)
    request: dict[str, Any] = {"action": values.get("action", "")}
    chosen = [value for name, value in pairs if name == "prediction" and value]
    if chosen:
        return request | {"predictions": chosen}
    return request | {"filter": {name: values[name] for name in MEMBERS if values.get(name)}}


def _tab(line: BulkLine, outcome: str) -> str:
    return f"{PATH}/{line.id}?outcome={outcome}" if outcome else f"{PATH}/{line.id}"


def _line(action: Any) -> BulkLine:
    return add_up(msgspec.convert(action, BulkLine))


def _is_live(lines: list[BulkLine]) -> bool:
    return any(line.status == "running" for line in lines)
