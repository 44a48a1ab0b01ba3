"""Shared by lists: limits, filters, and the note that there are more entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from halley.cli.client import Json
from halley.cli.failures import UsageProblem
from halley.cli.screen import Screen
from halley.settings import parse_seconds


def first(rows: Iterable[Json], limit: int) -> tuple[list[Json], bool]:
    """Give the first `limit` rows, and whether there are more."""
    found = list(islice(rows, limit + 1))
    return found[:limit], len(found) > limit


def note_more(screen: Screen, shown: int, *, has_more: bool) -> None:
    """Print a note on stderr that a list has more entries."""
    if has_more:
        screen.note(f"Only the first {shown} are shown; use --limit to show more.")


def chosen(
    predictions: Iterable[Json], *, status: str | None, model: str | None, since: datetime | None
) -> Iterator[Json]:
    """Filter a list of predictions, newest first."""
    for one in predictions:
        created = read_instant(one.get("created_at"))
        if since is not None and created is not None and created < since:
            return
        if status is not None and one.get("status") != status:
            continue
        if model is None or fnmatchcase(str(one.get("model") or ""), model):
            yield one


def read_since(text: str | None) -> datetime | None:
    """Read `2h` as two hours ago, or a date or time; without a time zone it is this machine's.

    Raises:
        UsageProblem: it is neither.
    """
    if text is None:
        return None
    try:
        return datetime.now(UTC) - timedelta(seconds=parse_seconds(text))
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageProblem(
            f"--since {text!r} is not a time.", hint="Write 30m, 2h or 7d, or a date such as 2026-11-28."
        ) from error


def read_instant(text: Any) -> datetime | None:
    """Read a time of the API; None if it is not valid."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
