"""Which models run where, and a test of one."""

from urllib.parse import quote

from halley.web.pages.refusals import refusal_words
from halley.web.visit import View, Visit


async def show(visit: Visit) -> View:
    """The routes; with `model` in the query, where the next run of that model would begin."""
    page = await visit.get("/v1/routes")
    models = await visit.get("/v1/models")
    wanted = visit.query.get("model", "").strip()
    test, problem = await _test(visit, wanted) if wanted else (None, "")
    return View(
        "routes.html",
        {"routes": page["results"], "test": test},
        models=[f"{one['owner']}/{one['name']}" for one in models["results"]],
        model=wanted,
        problem=problem,
    )


async def _test(visit: Visit, model: str) -> tuple[object, str]:
    owner, _, name = model.partition("/")
    if not owner or not name or "/" in name:
        return None, "A model is named by owner and name, as in acme/upscaler."
    answer = await visit.ask("GET", f"/v1/routes/{quote(owner, safe='')}/{quote(name, safe='')}")
    if answer.status == 404:
        return None, str(answer.json()["detail"])
    problem = refusal_words(answer)
    return (None, problem) if problem else (answer.json(), "")
