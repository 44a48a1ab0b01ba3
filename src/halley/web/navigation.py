"""The main navigation: the pages that have a text there, as far as the reader may see them."""

from collections.abc import Iterable

import msgspec

from halley.keys.records import Scope
from halley.web.rows import PageRow
from halley.web.visit import Visit


class NavItem(msgspec.Struct, frozen=True, kw_only=True):
    """A link of the navigation."""

    text: str
    url: str
    is_here: bool
    begins_group: bool


def navigation(pages: Iterable[PageRow], visit: Visit) -> tuple[NavItem, ...]:
    """The links: in two groups, each in the order of the tables."""
    path = visit.call.scope["path"].removeprefix(visit.call.variant.prefix)
    shown = sorted((page for page in pages if page.nav and visit.may(page.needs)), key=_group)
    groups = [None, *[_group(page) for page in shown]]
    return tuple(
        NavItem(
            text=page.nav,
            url=visit.url(page.pattern),
            is_here=_is_below(path, page.pattern),
            begins_group=before is not None and _group(page) != before,
        )
        for page, before in zip(shown, groups, strict=False)
    )


def _group(page: PageRow) -> bool:
    """Pages of one's own work come first, then those of the server."""
    return page.needs is Scope.ADMIN


def _is_below(path: str, pattern: str) -> bool:
    return path.rstrip("/") == pattern or (pattern != "/ui" and path.startswith(f"{pattern}/"))
