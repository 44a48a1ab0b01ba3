"""The settings that this server uses, and its health."""

from halley.web.visit import View, Visit


async def show(visit: Visit) -> View:
    """All of them, or those that the query asks for."""
    one = await visit.get("/v1/settings")
    wanted, only_changed = visit.query.get("q", "").strip(), visit.query.get("changed", "") == "1"
    rows = [
        row
        for row in one["settings"]
        if wanted.lower() in row["name"].lower() and not (only_changed and row["origin"] == "default")
    ]
    return View("settings.html", one, one=one, rows=rows, q=wanted, changed=only_changed)
