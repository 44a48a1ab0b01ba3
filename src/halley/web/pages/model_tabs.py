"""The other pages of a model: API, examples, versions, runs and settings."""

from halley.web.forms.controls import default_of, limits_of
from halley.web.forms.samples import sample_input
from halley.web.forms.schema import type_words
from halley.web.pages.opened import api_path, open_model, summary_of
from halley.web.pages.playground import code_of
from halley.web.visit import View, Visit


async def api(visit: Visit) -> View:
    """How to call it: code, its addresses, and a table of its inputs."""
    query = visit.query
    opened = await open_model(visit, query.get("version", ""))
    code = code_of(visit, opened, sample_input(opened.form), client=query.get("client", ""), way=query.get("way", ""))
    base = visit.call.variant.base
    schema = None if opened.version is None else opened.version["openapi_schema"]
    rows = [(field, type_words(field), limits_of(field), default_of(field)) for field in opened.form.fields]
    return View(
        "model_api.html",
        {"model": opened.model, "openapi_schema": schema},
        base=base,
        rows=rows,
        code=code,
        **opened.shown("/api"),
    )


async def examples(visit: Visit) -> View:
    """The author's examples."""
    opened = await open_model(visit)
    listed = [{"title": one.title, "input": one.input} for one in opened.form.examples]
    return View("model_examples.html", {"model": opened.model, "examples": listed}, **opened.shown("/examples"))


async def versions(visit: Visit) -> View:
    """Its versions, newest first."""
    opened = await open_model(visit)
    listed = await visit.get(f"{api_path(visit)}/versions", visit.query)
    return View("model_versions.html", {"model": opened.model, "versions": listed}, **opened.shown("/versions"))


async def runs(visit: Visit) -> View:
    """The reader's predictions of it, newest first."""
    opened = await open_model(visit)
    listed = await visit.get("/v1/predictions", {**visit.query, "model": opened.name})
    data = {"model": opened.model, "predictions": listed, "summary": await summary_of(visit, opened)}
    return View("model_runs.html", data, **opened.shown("/runs"))


async def settings(visit: Visit) -> View:
    """What the API says about it."""
    opened = await open_model(visit)
    return View("model_settings.html", {"model": opened.model}, **opened.shown("/settings"))
