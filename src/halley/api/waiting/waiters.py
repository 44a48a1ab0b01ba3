"""Requests that wait for a prediction, without a task each.

Whoever is about to wait enters first and reads the row afterwards, so that no change is missed. Once parked, it is an
entry here with one timer, and whatever its connection costs. A change of a prediction leads to one look at it, however
many wait for it: one read of the row, one encoded answer for each variant.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final

from halley.api.http.asgi import Outcome, Response
from halley.api.presentation.cache import CachedResponse
from halley.api.waiting.revocation import OpenAnswer, RevocationWatch, refusal
from halley.clock import Clock
from halley.errors import NotFound
from halley.keys.records import Scope
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.records import Prediction
from halley.predictions.service import Predictions
from halley.predictions.status import EventKind

_AT_ONCE: Final = 50  # answers; then others get their turn
_EVENTS_AT_ONCE: Final = 500
_EARLY_SECONDS: Final = 0.002  # timers of the loop count in whole milliseconds
_LOUD: Final = frozenset(
    {EventKind.STARTED, EventKind.OUTPUT_ADDED, EventKind.OUTPUT_SET, EventKind.FINISHED, EventKind.DATA_REMOVED}
)


class Until(Enum):
    """What a waiter waits for. All of them also end with the prediction and with their time."""

    END = auto()
    CHANGE = auto()  # any new revision
    NEWS = auto()  # status or output; logs and progress once it has waited for `calm_seconds`


class Snapshot:
    """What was found about a prediction, for all who are told now. `made` holds answers by variant."""

    __slots__ = ("made", "row", "seq")

    def __init__(self, row: Prediction, seq: int) -> None:
        self.row = row
        self.seq = seq  # the last event that the row tells of, 0 if it tells of none
        self.made: dict[int, CachedResponse] = {}


Tell = Callable[[Snapshot | Exception], Awaitable[Response]]
"""Makes the answer of one waiter, from what was found or from the reason why nothing could be read."""


class Waiter:
    """One entry. Fulfils `asgi.Later`."""

    __slots__ = (
        "calm_at",
        "due_at",
        "give",
        "group",
        "is_calm",
        "is_counted",
        "is_hurried",
        "is_refused",
        "revision",
        "right",
        "seq",
        "tell",
        "timer",
        "until",
        "wakes",
    )

    def __init__(self, group: "_Group") -> None:
        self.group = group
        self.wakes = group.wakes
        self.is_counted = False
        self.until: Until | None = None  # None: not kept
        self.give: Callable[[Outcome], None] | None = None  # None: not parked
        self.timer: asyncio.TimerHandle | None = None
        self.right: OpenAnswer | None = None
        self.is_refused = False
        self.is_hurried = False

    def lean(self, rights: RevocationWatch, key_id: str, needed: Scope) -> "Waiter":
        """Wait no longer than its key carries it."""
        self.right = rights.lean(key_id, needed, self._refuse)
        return self

    def _refuse(self) -> None:
        self.is_refused = True
        self.group.wake()

    def keep(
        self, row: Prediction, until: Until, tell: Tell, *, seconds: float, seq: int = 0, is_stale: bool = False
    ) -> "Waiter":
        """Wait, at most so long. The row, and for NEWS the events up to `seq`, are what its client knows.

        `is_stale` tells that logs or progress have come since.
        """
        now = self.group.waiters.clock.monotonic()
        self.is_counted = self.group.waiters.attendance.arrive(row)
        self.until = until
        self.tell = tell
        self.due_at = now + seconds
        self.calm_at = now + self.group.waiters.calm_seconds
        self.revision = row.revision
        self.seq = seq
        self.is_calm = not is_stale
        return self

    def park(self, give: Callable[[Outcome], None]) -> None:
        """See `asgi.Later`."""
        self.give = give
        self.group.waiters.parked(self, self.group)

    def hurry(self) -> None:
        """See `asgi.Later`. It counts as one that has left."""
        self.is_hurried = True
        self.due_at = self.group.waiters.clock.monotonic()
        self.group.wake()

    def leave(self) -> None:
        """See `asgi.Later`. Whoever entered and does not keep it must leave, too."""
        self.group.waiters.left(self, self.group, is_told=False)

    def is_ready(self, row: Prediction, loud_seq: int, now: float) -> bool:
        """Whether it is told about this row. `loud_seq` is the last event that changed status or output."""
        if self.is_refused or row.is_terminal or now >= self.due_at - _EARLY_SECONDS:
            return True
        if self.until is Until.CHANGE:
            return row.revision != self.revision
        if self.until is Until.END:
            return False
        return loud_seq > self.seq or (not self.is_calm and now >= self.calm_at - _EARLY_SECONDS)


class _Group:
    """All who wait for one prediction."""

    __slots__ = ("first_seq", "is_looking", "last_seq", "loud_seq", "members", "prediction_id", "waiters", "wakes")

    def __init__(self, waiters: "Waiters", prediction_id: str) -> None:
        self.waiters = waiters
        self.prediction_id = prediction_id
        self.members: dict[Waiter, None] = {}
        self.wakes = 0
        self.is_looking = False
        self.first_seq: float = math.inf  # the events behind this one, up to the last one, are known
        self.last_seq = 0
        self.loud_seq = 0  # the last of them that changed status or output

    def wake(self) -> None:
        self.waiters.wake(self)


class Waiters:
    """All who wait, by prediction. `run` must be running."""

    def __init__(
        self, *, predictions: Predictions, attendance: AbandonmentTracker, clock: Clock, calm_seconds: float = 0.5
    ) -> None:
        """`calm_seconds`: how late those who wait for NEWS are told of logs and progress at most."""
        self.clock = clock
        self.attendance = attendance
        self.calm_seconds = calm_seconds
        self._predictions = predictions
        self._groups: dict[str, _Group] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._is_closed = False

    def __len__(self) -> int:
        return sum(len(group.members) for group in self._groups.values())

    async def run(self) -> None:
        """Look at predictions when they change; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def enter(self, prediction_id: str) -> Waiter:
        """Begin to notice changes; `keep` and `park`, or `leave`, must follow."""
        group = self._groups.get(prediction_id)
        if group is None:
            group = self._groups[prediction_id] = _Group(self, prediction_id)
            self._predictions.listen(prediction_id, group.wake)
        waiter = Waiter(group)
        group.members[waiter] = None
        return waiter

    @contextmanager
    def entered(self, prediction_id: str) -> Iterator[Waiter]:
        """Enter for the time of the block; for longer if it keeps the waiter."""
        waiter = self.enter(prediction_id)
        try:
            yield waiter
        finally:
            if waiter.until is None:
                self.left(waiter, waiter.group, is_told=True)

    def release_all(self) -> None:
        """Answer everybody with what is known now, and those who are about to wait as well."""
        self._is_closed = True
        now = self.clock.monotonic()
        for group in tuple(self._groups.values()):
            for waiter in group.members:
                waiter.due_at = now
            self.wake(group)

    # for waiters and groups

    def parked(self, waiter: Waiter, group: _Group) -> None:
        """It is ready to be told."""
        if self._is_closed:
            waiter.due_at = self.clock.monotonic()
        if group.wakes != waiter.wakes or self._is_closed:
            self.wake(group)
        self._wind(waiter, group)

    def left(self, waiter: Waiter, group: _Group, *, is_told: bool) -> None:
        """It waits no more, because it is answered or because its client is gone."""
        if waiter in group.members and waiter.is_counted:
            self.attendance.depart(group.prediction_id, is_told=is_told)
        if waiter.timer is not None:
            waiter.timer.cancel()
            waiter.timer = None
        if waiter.right is not None:
            waiter.right.let_go()
            waiter.right = None
        group.members.pop(waiter, None)
        if not group.members and self._groups.get(group.prediction_id) is group:
            del self._groups[group.prediction_id]
            self._predictions.unlisten(group.prediction_id, group.wake)

    def wake(self, group: _Group) -> None:
        """Look at the prediction of this group."""
        group.wakes += 1
        if not group.is_looking and self._tasks is not None:
            group.is_looking = True
            self._tasks.create_task(self._look(group))

    def _wind(self, waiter: Waiter, group: _Group) -> None:
        now = self.clock.monotonic()
        at = waiter.calm_at if waiter.until is Until.NEWS and now < waiter.calm_at < waiter.due_at else waiter.due_at
        waiter.timer = asyncio.get_running_loop().call_later(max(0.0, at - now), self._rung, waiter, group)

    def _rung(self, waiter: Waiter, group: _Group) -> None:
        now = self.clock.monotonic()
        waiter.timer = None
        if now < waiter.due_at - _EARLY_SECONDS:
            self._wind(waiter, group)
            if waiter.is_calm or now < waiter.calm_at - _EARLY_SECONDS:
                return
        self.wake(group)

    # looking

    async def _look(self, group: _Group) -> None:
        try:
            while group.members:
                wakes = group.wakes
                await self._tell(group)
                if wakes == group.wakes:
                    return
        finally:
            group.is_looking = False

    async def _tell(self, group: _Group) -> None:
        try:
            found, ready = await self._find(group)
        except Exception as error:  # noqa: BLE001  # each gets its answer: an error, or what it knew before
            found, ready = error, [waiter for waiter in group.members if waiter.give is not None]
        for number, waiter in enumerate(ready, 1):
            give = waiter.give
            if give is not None and waiter in group.members:
                self.left(waiter, group, is_told=not waiter.is_hurried)
                give(await _outcome(waiter.tell, refusal() if waiter.is_refused else found))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _find(self, group: _Group) -> tuple[Snapshot | Exception, list[Waiter]]:
        row = await self._predictions.find(group.prediction_id)
        if row is None:
            raise NotFound(f"There is no prediction {group.prediction_id}")
        parked = [waiter for waiter in group.members if waiter.give is not None]
        if not row.is_terminal and any(waiter.until is Until.NEWS for waiter in parked):
            await self._note_events(group, row, parked)
        now = self.clock.monotonic()
        ready = [waiter for waiter in parked if waiter.is_ready(row, group.loud_seq, now)]
        return (Snapshot(*await self._predictions.filled_to(row)) if ready else Snapshot(row, 0)), ready

    async def _note_events(self, group: _Group, row: Prediction, parked: list[Waiter]) -> None:
        """Learn whether something loud has come, and tell those who hear everything that something came."""
        first = min(waiter.seq for waiter in parked if waiter.until is Until.NEWS)
        after = group.last_seq if first >= group.first_seq else first
        group.first_seq = min(group.first_seq, first)
        loud, last = await loud_and_last(self._predictions, row, after)
        group.last_seq, group.loud_seq = last, max(group.loud_seq, loud)
        for waiter in parked:
            waiter.is_calm = waiter.is_calm and last <= waiter.seq


def later(waiter: Waiter) -> Response:
    """That the answer comes later."""
    return Response(later=waiter)


async def loud_and_last(predictions: Predictions, row: Prediction, after_seq: int) -> tuple[int, int]:
    """Of the events behind `after_seq`: the last that changed status or output (0 if none), and the last of all."""
    loud, last = 0, after_seq
    while True:
        events = await predictions.events(row, last, _EVENTS_AT_ONCE)
        loud = max((event.seq for event in events if event.kind in _LOUD), default=loud)
        last = events[-1].seq if events else last
        if len(events) < _EVENTS_AT_ONCE:
            return loud, last


async def _outcome(tell: Tell, found: Snapshot | Exception) -> Outcome:
    try:
        return await tell(found)
    except Exception as error:  # noqa: BLE001  # it becomes this one's answer
        return error
