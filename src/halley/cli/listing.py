"""Shared by lists: limits, filters, and the note that there are more entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

import msgspec

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


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which predictions a list shows. A Halley server chooses them; others send all, and what their items show is
    compared here.
    """

    status: str | None = None
    model: str | None = None
    error: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    hidden: dict[str, str] = {}  # what no item shows: key, provider, tag, group

    def query(self) -> dict[str, str]:
        """As the members of a query."""
        shown = {
            "status": self.status,
            "model": self.model,
            "error": self.error,
            "created_after": _in_query(self.since),
            "created_before": _in_query(self.before),
        }
        return {name: text for name, text in shown.items() if text} | self.hidden

    def fits(self, prediction: Json) -> bool:
        """Whether what an item shows fits; the beginning of the time is not compared."""
        created = read_instant(prediction.get("created_at"))
        return (
            (self.status is None or prediction.get("status") in self.status.split(","))
            and (self.model is None or fnmatchcase(str(prediction.get("model") or ""), _plain_star(self.model)))
            and (self.error is None or self.error.lower() in str(prediction.get("error") or "").lower())
            and (self.before is None or created is None or created < self.before)
        )


def chosen(predictions: Iterable[Json], wanted: Wanted) -> Iterator[Json]:
    """Filter a list of predictions, newest first; it ends at the first one that is too old."""
    for one in predictions:
        created = read_instant(one.get("created_at"))
        if wanted.since is not None and created is not None and created < wanted.since:
            return
        if wanted.fits(one):
            yield one


def _in_query(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain_star(pattern: str) -> str:
    return pattern.replace("[", "[[]").replace("?", "[?]")


def read_since(text: str | None, option: str = "--since") -> datetime | None:
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
            f"{option} {text!r} is not a time.", hint="Write 30m, 2h or 7d, or a date such as 2026-11-28."
        ) from error


def read_instant(text: Any) -> datetime | None:
    """Read a time of the API; None if it is not valid."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
