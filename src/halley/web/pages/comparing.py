"""Two runs side by side."""

from typing import Any, Final

import msgspec

from halley.ids import is_id
from halley.web.pages.following import is_joined_output
from halley.web.views.differences import compare
from halley.web.views.media import files_in
from halley.web.views.outputs import shown_output
from halley.web.views.repeated import values_of
from halley.web.views.run import ShownRun, read_run, read_run_page
from halley.web.views.times import times
from halley.web.visit import View, Visit, checked

_FILES: Final = 16
_CANDIDATES: Final = 20


async def show(visit: Visit) -> View:
    """The predictions `a` and `b` of the query, or the first two `prediction`; without both, a form that asks for
    them.
    """
    query = visit.query
    ticked = [*values_of(visit.call.scope.get("query_string", b""), "prediction"), "", ""]
    ids = [_id_in(query.get(name) or chosen) for name, chosen in zip(("a", "b"), ticked, strict=False)]
    if not all(ids):
        return await _form(visit, ids[0] or "", ids[1] or "")
    answers = [checked(await visit.ask("GET", f"/v1/predictions/{one}")).body for one in ids]
    runs = [read_run(answer) for answer in answers]
    comparison = compare(runs[0].input, runs[1].input)
    data = {
        "a": msgspec.Raw(answers[0]),
        "b": msgspec.Raw(answers[1]),
        "differing_inputs": [row.name for row in comparison.rows if row.differs],
    }
    return View(
        "compare.html", data, comparison=comparison, sides=[await _side(visit, run) for run in runs], times=times(*runs)
    )


async def _form(visit: Visit, first: str, second: str) -> View:
    """A form for two ids, with other runs of the first one's model."""
    model, others = "", []
    if first:
        model = read_run(checked(await visit.ask("GET", f"/v1/predictions/{first}")).body).model
        query = {"model": model, "limit": str(_CANDIDATES + 1)}
        page = read_run_page(checked(await visit.ask("GET", "/v1/predictions", query=query)).body)
        others = [run for run in page.results if run.id != first][:_CANDIDATES]
    data = {"a": first, "b": second, "model": model, "candidates": [run.id for run in others]}
    return View("compare_form.html", data, candidates=others)


async def _side(visit: Visit, run: ShownRun) -> dict[str, Any]:
    return {
        "run": run,
        "files": files_in(run.output, limit=_FILES),
        "output": shown_output(run.output, is_joined=await is_joined_output(visit, run)),
    }


def _id_in(text: str) -> str | None:
    """The id in a pasted text: an id, or the URL of a prediction."""
    last = text.strip().partition("?")[0].rstrip("/").rpartition("/")[2]
    return last if is_id(last) else None
