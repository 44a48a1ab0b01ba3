"""The outputs of a model as pictures."""

from typing import Final

from halley.web.views.media import files_in
from halley.web.views.run import ShownRun, read_run_page
from halley.web.views.texts import cut, decode_small
from halley.web.visit import View, Visit, checked

_RUNS: Final = 24
_CAPTION: Final = 200  # characters
_FILES: Final = 4  # of one prediction; its page has all


async def show(visit: Visit) -> View:
    """Pictures of the newest predictions, page by page; `?model=` shows those of one model."""
    query = {"limit": str(_RUNS), "status": "succeeded"}
    for name in ("model", "tag", "cursor"):
        if value := visit.query.get(name, "").strip():
            query[name] = value
    answer = checked(await visit.ask("GET", "/v1/predictions", query=query))
    page = read_run_page(answer.body)
    shown = []
    for run in page.results:
        files = files_in(run.output, limit=_FILES)
        if any(file.kind == "image" for file in files):
            shown.append({"run": run, "files": files, "caption": _caption(run)})
    models = (await visit.get("/v1/models"))["results"]
    data = {"model": query.get("model", ""), "tag": query.get("tag", ""), "predictions": answer.json()}
    return View("gallery.html", data, shown=shown, page=page, models=models)


def _caption(run: ShownRun) -> str:
    """What the picture is of, if its input says it; "" otherwise."""
    members = decode_small(run.input)
    prompt = members.get("prompt") if isinstance(members, dict) else None
    return cut(prompt, _CAPTION) if isinstance(prompt, str) else ""
