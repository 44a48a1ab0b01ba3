"""The main navigation: the pages that have a text there, as far as the reader may see them."""

from collections.abc import Iterable

import msgspec

from halley.web.rows import Page
from halley.web.visit import Visit


class NavItem(msgspec.Struct, frozen=True, kw_only=True):
    """A link of the navigation."""

    text: str
    url: str
    is_here: bool


def navigation(pages: Iterable[Page], visit: Visit) -> tuple[NavItem, ...]:
    """The links, in the order of the tables."""
    path = visit.call.scope["path"].removeprefix(visit.call.variant.prefix)
    return tuple(
        NavItem(text=page.nav, url=visit.url(page.pattern), is_here=_is_below(path, page.pattern))
        for page in pages
        if page.nav and visit.may(page.needs)
    )


def _is_below(path: str, pattern: str) -> bool:
    return path.rstrip("/") == pattern or (pattern != "/ui" and path.startswith(f"{pattern}/"))
