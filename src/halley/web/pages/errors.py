"""Errors of predictions in groups, the most frequent first, with their counts over time."""

from typing import Any, Final
from urllib.parse import urlencode

from halley.web.pages.predictions import PATH
from halley.web.pages.refusals import refusal_words
from halley.web.views.error_chart import chart_of, sum_of
from halley.web.views.prediction_list import SPANS
from halley.web.views.texts import cut
from halley.web.visit import Redirect, View, Visit, checked

_SPARK_HEIGHT: Final = 24
_TITLE: Final = 300  # characters of a group's error
_MEMBERS: Final = ("since", "model")
_SPAN: Final = "24h"


async def show(visit: Visit) -> View | Redirect:
    """The groups of a time, perhaps of one model."""
    query = visit.query
    clean = {name: value for name, value in query.items() if value}
    if clean != query and not visit.wants_json:
        return Redirect(f"/ui/errors?{urlencode(clean)}" if clean else "/ui/errors")
    asked = {name: query[name] for name in _MEMBERS if query.get(name)}
    answer = await visit.ask("GET", "/v1/errors", query=asked)
    if visit.wants_json:
        return View("errors.html", {"errors": checked(answer).json()})
    problem = refusal_words(answer)
    report: dict[str, Any] = {"results": [], "is_complete": True, "left_out": 0} if problem else answer.json()
    groups = report["results"]
    since = asked.get("since", _SPAN)
    return View(
        "errors.html",
        {"errors": report},
        status=422 if problem else 200,
        problem=problem,
        groups=[_shown(visit, group, report) for group in groups],
        chart=_chart(sum_of([group["counts"] for group in groups]), report) if groups else None,
        asked={"since": since, "model": asked.get("model", "")},
        spans=SPANS if since in dict(SPANS) else (*SPANS, (since, since)),
        total=sum(group["count"] for group in groups) + report["left_out"],
        all_url=visit.url(PATH, {"status": "failed", "model": asked.get("model", ""), "since": since}),
    )


def _shown(visit: Visit, group: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    """The group with its small chart, and where its predictions are."""
    found = {"group": group["group"], "created_after": report["since"]}
    spark = chart_of(group["counts"], report["starts_at"], report["interval_seconds"], height=_SPARK_HEIGHT)
    again = {"action": "rerun", **found}
    return {
        **group,
        "title": _title(group["error"]),
        "chart": spark,
        "url": visit.url(PATH, found),
        "again_url": visit.url("/ui/bulk/new", again),
    }


def _title(error: str) -> str:
    """The line that says most: the last one of a traceback, else the first. "" if no line says anything."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    if not lines:
        return ""
    return cut(lines[-1] if lines[0].startswith("Traceback (") else lines[0], _TITLE)


def _chart(counts: list[int], report: dict[str, Any]) -> Any:
    return chart_of(counts, report["starts_at"], report["interval_seconds"])
