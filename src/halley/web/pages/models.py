"""The list of models."""

from halley.web.visit import View, Visit


async def show(visit: Visit) -> View:
    """The models that the reader may run, page by page."""
    return View("models.html", {"models": await visit.get("/v1/models", visit.query)})
