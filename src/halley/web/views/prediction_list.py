"""The list of predictions: its filter, which is the query of the page, and its lines."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from halley.clock import rfc3339
from halley.settings import parse_seconds
from halley.web.views.home import RunLine, line_of
from halley.web.views.run import RunPage

MEMBERS: Final = (
    *("status", "model", "error", "tag", "since", "created_after", "created_before", "key", "provider", "group"),
)
SPANS: Final = (("1h", "last hour"), ("24h", "last 24 hours"), ("7d", "last 7 days"), ("30d", "last 30 days"))
STATUSES: Final = (
    ("starting,processing", "queued or running"),
    ("starting", "queued"),
    ("processing", "running"),
    ("succeeded", "succeeded"),
    ("failed,aborted", "failed"),
    ("canceled", "canceled"),
)
OWN_VIEWS: Final = (
    ("All", ""),
    ("Running", "status=starting%2Cprocessing"),
    ("Failed today", "status=failed%2Caborted&since=24h"),
)
_LINES: Final = 50


class ListedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the list."""

    line: RunLine
    tags: tuple[str, ...]


def filter_of(query: Mapping[str, str]) -> dict[str, str]:
    """The filter of a page's query, in a fixed order: the same filter has one address."""
    return {name: query[name].strip() for name in MEMBERS if query.get(name, "").strip()}


def view_query(members: Mapping[str, str]) -> str:
    """The filter as a query: the name of the view that shows it."""
    return urlencode(members)


def absolute(members: Mapping[str, str], now: datetime) -> dict[str, str]:
    """The filter as the API takes it: `since` is a time, not a span before now."""
    asked = dict(members)
    since = asked.pop("since", "")
    if since and "created_after" not in asked:
        asked["created_after"] = _instant(since, now)
    return asked


def asked_of_api(query: Mapping[str, str], now: datetime) -> dict[str, str]:
    """What the API is asked for a page of the list."""
    shown = {name: query[name] for name in ("cursor", "limit") if query.get(name)}
    return {"limit": str(_LINES), **absolute(filter_of(query), now), **shown, "include": "tags"}


def lines_of(page: RunPage) -> tuple[ListedRun, ...]:
    """The predictions of a page in a few words each."""
    return tuple(ListedRun(line=line_of(run), tags=tuple(run.tags)) for run in page.results)


def cursor_in(link: str | None) -> str | None:
    """The cursor of a link to another page of a list."""
    return None if link is None else dict(parse_qsl(link.partition("?")[2])).get("cursor")


def _instant(span: str, now: datetime) -> str:
    """The time that is so long ago. What is no span stays as it is, so that the API can say what is wrong."""
    try:
        return rfc3339(now - timedelta(seconds=parse_seconds(span)))
    except (ValueError, OverflowError):
        return span
