"""What the reader's own key may do, and what it has used."""

from typing import Any

from halley.web.pages.keys import SCOPES
from halley.web.visit import View, Visit


async def show(visit: Visit) -> View:
    """One key, also a plain one."""
    one: dict[str, Any] = await visit.get("/v1/keys/current")
    may = [(scope, words, scope in one["scopes"] or "admin" in one["scopes"]) for scope, words in SCOPES]
    return View("me.html", one, one=one, may=may, root=visit.call.variant.origin)
