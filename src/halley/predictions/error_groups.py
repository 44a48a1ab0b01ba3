"""Failed predictions in groups: how often each error occurred, since when, and when."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from halley.predictions.fingerprints import fingerprint
from halley.predictions.search import Failure, FoundFailures

MOST_GROUPS: Final = 100
MOST_INTERVALS: Final = 60
_AT_ONCE: Final = 4000  # characters: to normalise them takes a millisecond or two
_EACH: Final = 50  # cost of any error, also a short one, in characters
_LENGTHS: Final = (60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86_400, 7 * 86_400, 28 * 86_400)  # seconds


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Similar errors of a model. `error` is the newest text, `example_id` its prediction; `counts` has a number for
    each interval, the oldest first.
    """

    group: str
    model: str
    error: str
    count: int
    first_at: datetime
    last_at: datetime
    example_id: str
    counts: tuple[int, ...]


class ErrorReport(msgspec.Struct, frozen=True, kw_only=True):
    """The groups of the failed predictions that were created from `since` until `until`, the largest first.

    `looked_at` counts all failed or aborted ones of this time, also those that other filters leave out. `is_complete`
    is False if there are older ones than could be looked at: `since` is then later than it was asked. `left_out` counts
    the failures of groups that are not listed.
    """

    since: datetime
    until: datetime
    interval_seconds: int
    is_complete: bool
    looked_at: int
    groups: tuple[ErrorGroup, ...]
    left_out: int = 0


def intervals(since: datetime, until: datetime) -> tuple[datetime, int, int]:
    """The start of the first interval, the length of each in seconds, and how many there are: at most MOST_INTERVALS.

    They begin at round times, so that a report that is asked for again has the same ones.
    """
    seconds = max((until - since).total_seconds(), 1)
    length = next((one for one in _LENGTHS if seconds / one < MOST_INTERVALS - 1), 0)
    if not length:  # years
        length = 86_400 * (int(seconds / 86_400 / (MOST_INTERVALS - 1)) + 1)
    epoch = datetime(1970, 1, 1, tzinfo=since.tzinfo)
    start = epoch + timedelta(seconds=(since - epoch) // timedelta(seconds=length) * length)
    return start, length, int((until - start).total_seconds() // length) + 1


async def group_errors(found: FoundFailures, since: datetime, until: datetime) -> ErrorReport:
    """The groups of these failures, which were created in this time. Other tasks run in between."""
    start, length, count = intervals(since, until)
    in_groups: dict[str, list[Failure]] = {}
    characters = 0
    for failure in found.items:
        in_groups.setdefault(fingerprint(failure.model, failure.error), []).append(failure)
        characters += _EACH + len(failure.error)
        if characters > _AT_ONCE:
            characters = 0
            await asyncio.sleep(0)
    groups = [_group(name, members, start, length, count) for name, members in in_groups.items()]
    groups.sort(key=lambda one: (one.count, one.last_at), reverse=True)
    return ErrorReport(
        since=since,
        until=until,
        interval_seconds=length,
        is_complete=found.resume is None,
        looked_at=found.looked_at,
        groups=tuple(groups[:MOST_GROUPS]),
        left_out=sum(one.count for one in groups[MOST_GROUPS:]),
    )


def _group(name: str, members: Sequence[Failure], start: datetime, length: int, count: int) -> ErrorGroup:
    counts = [0] * count
    for failure in members:
        place = int((failure.created_at - start).total_seconds() // length)
        counts[min(max(place, 0), count - 1)] += 1
    newest = members[0]
    return ErrorGroup(
        group=name,
        model=newest.model,
        error=newest.error,
        count=len(members),
        first_at=min(failure.created_at for failure in members),
        last_at=max(failure.created_at for failure in members),
        example_id=newest.id,
        counts=tuple(counts),
    )
