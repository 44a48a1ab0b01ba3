"""The settings that this server uses, and its health."""

from halley.web.visit import View, Visit


async def show(visit: Visit) -> View:
    """All of them, or those that the query asks for."""
    one = await visit.get("/v1/settings")
    wanted, has_all = visit.query.get("q", "").strip(), visit.query.get("all", "") == "1"
    rows = [
        row
        for row in one["settings"]
        if (wanted.lower() in row["name"].lower() if wanted else has_all or row["origin"] != "default")
    ]
    tab = "" if wanted else "/ui/settings?all=1" if has_all else "/ui/settings"
    return View("settings.html", one, one=one, rows=rows, q=wanted, here_tab=tab)
