"""One request that waits. See the package for how waiting works."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, Self

from halley.api.http.asgi import Outcome, Response, Scope
from halley.api.presentation.cache import CachedResponse
from halley.api.waiting.conditions import Until
from halley.clock import Clock
from halley.keys.records import Scope as KeyScope
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.records import Prediction

HOLD_KEY: Final = "halley.hold"  # where the protocol finds the hold of a request whose connection is lost
GONE_KEY: Final = "halley.gone"  # what the protocol leaves in the scope of a request whose client is gone
MAY_READ: Final = "may read"  # its value if the client can still be told something
STREAM_KEY: Final = "halley.stream"  # the protocol's function that a stream calls when it begins
EARLY_SECONDS: Final = 0.002  # timers of the loop count in whole milliseconds

Carrier = tuple[str, KeyScope]
"""The id of the key under which a request waits, and the scope that the key must keep for that."""


class Snapshot:
    """What was found about a prediction, for all who are told now. `made` holds answers by variant."""

    __slots__ = ("made", "row", "seq")

    def __init__(self, row: Prediction, seq: int) -> None:
        self.row = row
        self.seq = seq  # the last event that the row tells of, 0 if it tells of none
        self.made: dict[int, CachedResponse] = {}


Tell = Callable[[Snapshot | Exception], Awaitable[Response]]
"""Makes the answer of one hold, from what was found or from the reason why nothing could be read."""


class HoldGroup:
    """All holds on one prediction."""

    __slots__ = (
        "changes",
        "first_seq",
        "in_task",
        "is_looking",
        "last_seq",
        "members",
        "prediction_id",
        "readers",
        "seen",
        "urgent_seq",
        "wakes",
    )

    def __init__(self, prediction_id: str) -> None:
        self.prediction_id = prediction_id
        self.members: dict[Hold, None] = {}
        self.in_task: dict[Hold, None] = {}  # those whose own task waits for an answer: one of them looks for all
        self.readers: dict[Hold, None] = {}  # streams that wait for a change: they read for themselves
        self.changes = 0  # hints, and what the poll found
        self.wakes = 0  # looks that were wanted
        self.seen = 0  # the wakes that the last look knew of
        self.is_looking = False
        self.first_seq: float = math.inf  # the events after this one, up to `last_seq`, are known
        self.last_seq = 0
        self.urgent_seq = 0  # the last urgent event among them


class HoldOwner(Protocol):
    """What a hold needs of the hub."""

    clock: Clock
    attendance: AbandonmentTracker
    coalesce_seconds: float
    is_closed: bool

    def wake(self, group: HoldGroup) -> None: ...

    def assign(self, group: HoldGroup) -> None: ...

    async def look(self, group: HoldGroup) -> None: ...

    def take_over(self, hold: "Hold") -> None: ...

    def rung(self, hold: "Hold") -> None: ...

    def lean(self, hold: "Hold") -> None: ...

    def left(self, hold: "Hold") -> None: ...


class Hold:
    """One waiting request, in the hub from `Hub.enter` on. Fulfils `asgi.DeferredResponse`.

    It is used as a context manager by the task of its request. At the end of the block it leaves the hub, unless
    `later` has made a deferred response of it.
    """

    __slots__ = (
        "_scope",
        "carrier",
        "changes",
        "coalesced_until",
        "due_at",
        "found",
        "give",
        "group",
        "has_unseen",
        "hub",
        "is_asked",
        "is_counted",
        "is_deferred",
        "is_gone",
        "is_released",
        "is_revoked",
        "revision",
        "seq",
        "tell",
        "timer",
        "until",
        "waker",
        "wakes",
    )

    tell: Tell
    due_at: float  # of the monotonic clock, as all times here
    coalesced_until: float
    revision: int  # of the row that its client knows
    seq: int  # the last event that its client knows

    def __init__(self, hub: HoldOwner, group: HoldGroup, scope: Scope) -> None:
        self.hub = hub
        self.group = group
        self.wakes = group.wakes  # the looks that were wanted before it entered are no concern of it
        self.changes = group.changes
        self._scope: Scope | None = scope
        self.until = Until.END
        self.has_unseen = False  # events came that are told at `coalesced_until`
        self.is_counted = False  # as one who waits, where abandoned work is canceled
        self.is_deferred = False
        self.is_gone = GONE_KEY in scope  # the client waits no more; it may still read
        self.is_released = hub.is_closed  # the server stops: answer with what is known
        self.is_revoked = False
        self.is_asked = False  # its own task is the one that looks next
        self.carrier: Carrier | None = None
        self.found: Snapshot | Exception | None = None
        self.give: Callable[[Outcome], None] | None = None  # parked, if there
        self.waker: asyncio.Future[None] | None = None  # what its own task waits for
        self.timer: asyncio.TimerHandle | None = None
        scope[HOLD_KEY] = self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._scope is not None:
            self._scope.pop(HOLD_KEY, None)
            self._scope = None
        if not self.is_deferred:
            self.hub.left(self)

    @property
    def is_over(self) -> bool:
        """It is not to wait any longer, though nothing was found."""
        return self.is_gone or self.is_released or self.is_revoked

    def attend(self, row: Prediction) -> None:
        """Count it as one who waits for this prediction, until it leaves."""
        if self.hub.attendance.arrive(row):
            if self in self.group.members:
                self.is_counted = True
            else:  # its client was gone before it could be counted
                self.hub.attendance.depart(row.id, is_told=False)

    def lean(self, carrier: Carrier | None) -> None:
        """End as soon as this key is not valid any more, or has lost the scope."""
        self.carrier = carrier
        self.hub.lean(self)

    def expect(
        self,
        row: Prediction,
        until: Until,
        tell: Tell,
        *,
        seconds: float,
        carrier: Carrier,
        seq: int = 0,
        has_unseen: bool = False,
    ) -> "Hold":
        """Wait, at most so long. The row, and for NEWS the events up to `seq`, are what its client knows.

        `has_unseen` tells that logs or progress have come since.
        """
        now = self.hub.clock.monotonic()
        self.attend(row)
        self.until = until
        self.tell = tell
        self.due_at = now + seconds
        self.coalesced_until = now + self.hub.coalesce_seconds
        self.carrier = carrier
        self.revision = row.revision
        self.seq = seq
        self.has_unseen = has_unseen
        return self

    def is_ready(self, row: Prediction, urgent_seq: int, now: float) -> bool:
        """Whether it is told about this row. `urgent_seq` is the last urgent event."""
        if self.is_over or row.is_terminal or now >= self.due_at - EARLY_SECONDS:
            return True
        if self.until is Until.CHANGE:
            return row.revision > self.revision  # the row may have been read before the one that its client knows
        if self.until is Until.END:
            return False
        return urgent_seq > self.seq or (self.has_unseen and now >= self.coalesced_until - EARLY_SECONDS)

    # in the task of its request

    async def found_within(self, seconds: float) -> Snapshot | Exception | None:
        """What it waits for, in its own task; None after so many seconds, or as soon as the client is gone.

        While it waits here, its task does the looks that are wanted, for all holds on the prediction.
        """
        hub, group, monotonic = self.hub, self.group, self.hub.clock.monotonic
        park_at = monotonic() + seconds
        self.is_asked = self.wakes != group.wakes or self.is_released
        group.in_task[self] = None
        try:
            while not self._is_told():
                now = monotonic()
                is_due = now >= self.due_at - EARLY_SECONDS
                if self.is_asked or is_due:
                    self.is_asked = False
                    if group.is_looking:
                        group.wakes += 1  # whoever looks now looks once more
                    else:
                        await hub.look(group)
                        is_due = False  # what was due has been found
                if self._is_told() or (now >= park_at and not is_due):
                    break
                if not self.is_asked:
                    if not is_due:
                        self.ring_at(min(park_at, self.due_at), now)
                    await self._woken()
        finally:
            del group.in_task[self]
            self.wakes = max(self.wakes, group.seen)
            if self.is_asked:
                hub.assign(group)
        return self.found

    def _is_told(self) -> bool:
        return self.found is not None or self.is_gone

    async def changed(self, seconds: float) -> bool | None:
        """For streams: True after a change, False after so many seconds without one, None if it is over."""
        group = self.group
        if self.changes == group.changes and not self.is_over and seconds > 0:
            now = self.hub.clock.monotonic()
            self.ring_at(now + seconds, now)
            group.readers[self] = None
            try:
                await self._woken()
            finally:
                group.readers.pop(self, None)
                self.stop_timer()
        if self.is_over:
            return None
        is_changed, self.changes = self.changes != group.changes, group.changes
        return is_changed

    def wake(self) -> None:
        """Let its own task go on, if it waits."""
        if self.waker is not None and not self.waker.done():
            self.waker.set_result(None)

    async def _woken(self) -> None:
        self.waker = asyncio.get_running_loop().create_future()
        try:
            await self.waker
        finally:
            self.waker = None

    # without a task

    def later(self) -> Response:
        """That the answer comes later."""
        self.is_deferred = True
        return Response(later=self)

    def park(self, give: Callable[[Outcome], None]) -> None:
        """See `asgi.DeferredResponse`."""
        self.give = give
        self.hub.take_over(self)

    def hurry(self) -> None:
        """See `asgi.DeferredResponse`. It counts as one that has left."""
        self.is_gone = True
        self.wake()
        if self.is_deferred:
            self.hub.wake(self.group)

    def leave(self) -> None:
        """See `asgi.DeferredResponse`."""
        self.is_gone = True
        self.give = None
        self.hub.left(self)
        self.wake()

    def release(self) -> None:
        """The server stops. The hub looks once more."""
        self.is_released = True
        self.wake()

    def revoke(self) -> None:
        """Its key is not valid any more, or has lost the scope."""
        self.is_revoked = True
        self.wake()
        self.hub.wake(self.group)

    # its timer

    def ring_at(self, at: float, now: float) -> None:
        """Ring at this time of the clock; before that if it was to ring earlier."""
        if self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(max(0.0, at - now), self._ring)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _ring(self) -> None:
        self.timer = None
        if self.give is None:
            self.wake()
        else:
            self.hub.rung(self)
