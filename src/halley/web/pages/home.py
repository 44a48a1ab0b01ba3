"""The home page: what runs, waits and failed lately, and what to do first."""

from typing import Final

import msgspec

from halley.errors import NotFound
from halley.web.cookies import has_mark, set_mark
from halley.web.forms_posted import PostedForm
from halley.web.views.home import ModelLines, Numbers, RunLine, line_of, read_models, read_numbers
from halley.web.views.run import read_run_page
from halley.web.visit import Redirect, View, Visit, checked

_LATEST: Final = 12
_FAILED: Final = 5
_MODELS: Final = "40"
_WELCOMED: Final = "welcomed"
_FAILURES: Final = frozenset({"failed", "aborted"})


async def missing(_: Visit) -> View:
    """For each path of the dashboard that has no page."""
    raise NotFound("There is no page at this address.")


async def show(visit: Visit) -> View:
    """Numbers, models, the newest predictions, and the newest failures."""
    latest = await _predictions(visit, {"limit": str(_LATEST)})
    failed = await _predictions(visit, {"limit": str(_FAILED), "status": "failed,aborted"})
    models = read_models(checked(await visit.ask_shared("/v1/models", {"limit": _MODELS})).body)
    numbers = await _numbers(visit)
    data = {
        "numbers": numbers,
        "latest": latest,
        "failed": [run for run in failed if run.status in _FAILURES],
        "models": models.results,
    }
    is_first = not has_mark(visit.call, _WELCOMED)
    return View(
        "home.html",
        msgspec.to_builtins(data),
        numbers=numbers,
        more_models=models.next is not None,
        first_model=_first(models) if is_first else None,
        is_first=is_first,
    )


async def dismiss(visit: Visit, form: PostedForm) -> Redirect:
    """Do not show the first steps again in this browser."""
    del form
    return Redirect("/ui", headers=(set_mark(_WELCOMED, is_https=visit.is_https),))


async def _predictions(visit: Visit, query: dict[str, str]) -> list[RunLine]:
    page = read_run_page(checked(await visit.ask_shared("/v1/predictions", query)).body)
    return [line_of(run) for run in page.results]


async def _numbers(visit: Visit) -> Numbers:
    return read_numbers(checked(await visit.ask_shared("/v1/predictions/summary")).body)


def _first(models: ModelLines) -> str:
    """The model to try first: one that draws, if it is there."""
    names = [model.full_name for model in models.results if model.state == "ready"]
    return "demo/paint" if "demo/paint" in names else next(iter(names), "")
