"""The list of predictions: a filter that is its address, views with names, and the same as a table to save."""

import csv
import io
from collections.abc import AsyncGenerator
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from halley.api.http.asgi import Header, Response
from halley.api.internal import ApiAnswer
from halley.web.cookies import set_value, value_of
from halley.web.forms_posted import PostedForm
from halley.web.views import saved_views
from halley.web.views.filter_line import read_line, write_line
from halley.web.views.home import RunLine, read_models
from halley.web.views.prediction_list import (
    OWN_VIEWS,
    SPANS,
    STATUSES,
    ListedRun,
    absolute,
    asked_of_api,
    cursor_in,
    filter_of,
    lines_of,
    view_query,
)
from halley.web.views.run import RunPage, read_run_page
from halley.web.visit import Redirect, View, Visit, checked

PATH: Final = "/ui/predictions"
_REFUSED: Final = 422
_EMPTY: Final = RunPage(results=[])
_SAVED_PAGES: Final = 10
_SAVED_LINES: Final = "100"
_COLUMNS: Final = ("id", "model", "status", "created_at", "seconds", "error", "tags")
_LONGEST_QUERY: Final = 2000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


async def show(visit: Visit) -> View | Redirect:
    """The predictions that match the filter, newest first."""
    query = visit.query
    if not visit.wants_json and (clean := _clean(query)) != query:
        return Redirect(_with_query(view_query(clean)))
    answer = await visit.ask_shared("/v1/predictions", asked_of_api(query, visit.now))
    if visit.wants_json:
        return View("predictions.html", {"predictions": msgspec.Raw(checked(answer).body)})
    faults = _faults(answer, query)
    page = _EMPTY if faults else read_run_page(checked(answer).body)
    members = filter_of(query)
    return View(
        "predictions.html",
        {"filter": members, "faults": faults},
        status=_REFUSED if faults else 200,
        lines=lines_of(page),
        members=absolute(members, visit.now),
        line=write_line(members),
        older=_other_page(visit, members, page.next),
        newer=_other_page(visit, members, page.previous),
        views=_views(visit),
        here_query=view_query(members),
        spans=_with_own(SPANS, members.get("since", "")),
        statuses=_with_own(STATUSES, members.get("status", "")),
        models=await _models(visit),
    )


async def save_view(visit: Visit, form: PostedForm) -> Redirect:
    """Give the filter a name."""
    query = view_query(filter_of(dict(parse_qsl(form.get("query")[:_LONGEST_QUERY]))))
    views = saved_views.with_view(_saved(visit), form.get("name"), query)
    note = "The view is saved in this browser." if views != _saved(visit) else "The view needs a name, and a filter."
    return Redirect(_with_query(query), note, headers=(_cookie(visit, views),))


async def delete_view(visit: Visit, form: PostedForm) -> Redirect:
    """Forget a named filter."""
    views = saved_views.without_view(_saved(visit), form.get("name"))
    return Redirect(PATH, "The view is deleted.", headers=(_cookie(visit, views),))


async def save_as_csv(visit: Visit) -> Response:
    """The newest predictions that match, as a table for a spreadsheet."""
    query: dict[str, str] = asked_of_api(visit.query, visit.now) | {"limit": _SAVED_LINES}
    first = read_run_page(checked(await visit.ask("GET", "/v1/predictions", query=query)).body)
    headers: list[Header] = [
        (b"content-type", b"text/csv; charset=utf-8"),
        (b"content-disposition", b'attachment; filename="predictions.csv"'),
        (b"cache-control", b"private, no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    return Response(headers=headers, chunks=_csv(visit, query, first))


async def _csv(visit: Visit, query: dict[str, str], page: RunPage) -> AsyncGenerator[bytes, None]:
    yield _rows([_COLUMNS])
    for _ in range(_SAVED_PAGES):
        yield _rows([_cells(one) for one in lines_of(page)])
        cursor = cursor_in(page.next)
        if cursor is None:
            return
        answer = await visit.ask("GET", "/v1/predictions", query=query | {"cursor": cursor})
        if not answer.is_ok:
            return
        page = read_run_page(answer.body)


def _rows(rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _cells(one: ListedRun) -> list[str]:
    line: RunLine = one.line
    seconds = "" if line.seconds is None else f"{line.seconds:.3f}"
    cells = [line.id, line.model, line.status, line.created_at, seconds, line.error or "", " ".join(one.tags)]
    # a spreadsheet would run it
    return [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]


def _clean(query: dict[str, str]) -> dict[str, str]:
    """The query without what is empty; a typed line becomes the members that it means."""
    if "q" in query:
        return read_line(query["q"])
    return {name: value for name, value in query.items() if value}


def _faults(answer: ApiAnswer, query: dict[str, str]) -> dict[str, str]:
    """What is wrong with the filter, by member."""
    if answer.status != _REFUSED:
        return {}
    faults = {fault["field"]: fault["description"] for fault in answer.json().get("invalid_fields", [])}
    if "created_after" in faults and not query.get("created_after"):
        del faults["created_after"]
        faults["since"] = "must be a span such as 24h or 7d"
    return faults


def _other_page(visit: Visit, members: dict[str, str], link: str | None) -> str | None:
    cursor = cursor_in(link)
    if cursor is None:
        return None
    return visit.url(PATH, members, cursor=cursor, limit=visit.query.get("limit"))


async def _models(visit: Visit) -> list[str]:
    """Names to choose from; a page that is fetched again for its live parts needs none."""
    if visit.is_fragment:
        return []
    answer = await visit.ask_shared("/v1/models", {"limit": "100"})
    return [model.full_name for model in read_models(answer.body).results] if answer.is_ok else []


def _with_own(choices: tuple[tuple[str, str], ...], chosen: str) -> tuple[tuple[str, str], ...]:
    """The choices, and the chosen one if it is none of them."""
    known = {value for value, _ in choices}
    return choices if not chosen or chosen in known else (*choices, (chosen, chosen))


def _views(visit: Visit) -> list[dict[str, Any]]:
    every = [(name, query, False) for name, query in OWN_VIEWS]
    every += [(view.name, view.query, True) for view in _saved(visit)]
    return [
        {"name": name, "url": visit.url(_with_query(query)), "query": query, "is_own": is_own}
        for name, query, is_own in every
    ]


def _saved(visit: Visit) -> list[saved_views.SavedView]:
    return saved_views.read_views(value_of(visit.call, saved_views.COOKIE))


def _cookie(visit: Visit, views: list[saved_views.SavedView]) -> Header:
    return set_value(saved_views.COOKIE, saved_views.write_views(views), is_https=visit.is_https)


def _with_query(query: str) -> str:
    return f"{PATH}?{query}" if query else PATH
