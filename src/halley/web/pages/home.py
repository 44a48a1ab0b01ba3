"""The home page: what runs, waits and failed lately."""

from halley.web.visit import View, Visit


async def show(visit: Visit) -> View:
    """The latest predictions and the models."""
    latest = await visit.get("/v1/predictions")
    models = await visit.get("/v1/models")
    return View("home.html", {"predictions": latest["results"][:20], "models": models["results"]})
