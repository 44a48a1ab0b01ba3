"""One waiting request. See the package for how waiting works."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, Self

from halley.api.http.asgi import Outcome, Response, Scope
from halley.api.http.batches import Batch, BatchKey
from halley.api.presentation.cache import CachedResponse
from halley.api.waiting.conditions import Until
from halley.clock import Clock
from halley.keys.records import Scope as KeyScope
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.records import Prediction

HOLD_KEY: Final = "halley.hold"  # the protocol finds the hold of a request whose connection is lost under this key
GONE_KEY: Final = "halley.gone"  # the protocol sets it in the scope of a request whose client has disconnected
MAY_READ: Final = "may read"  # its value if the client may still read an answer
# the protocol's function that a stream calls when it begins: it gives one that writes a piece at once, if it can
STREAM_KEY: Final = "halley.stream"
EARLY_SECONDS: Final = 0.002  # timers of the loop count whole milliseconds

Carrier = tuple[str, KeyScope]
"""The id of the key of a waiting request, and the scope that the key must keep meanwhile."""


class Snapshot:
    """What was read about a prediction, for all holds that are answered now. `made` has answers by variant."""

    __slots__ = ("made", "row", "seq")

    def __init__(self, row: Prediction, seq: int) -> None:
        self.row = row
        self.seq = seq  # the last event that the row includes, 0 if none
        self.made: dict[int, CachedResponse] = {}


Tell = Callable[[Snapshot | Exception], Awaitable[Response]]
"""Makes the answer of one hold, from the snapshot or from the error of the read."""
TellEnd = Callable[[Prediction], Response | None]
"""Makes the answer about an ended prediction at once, equal to that of `Tell`; None if only `Tell` can make it."""


Take = Callable[[BatchKey, Batch], bool]
"""Sends what another stream has read, without the stream's task; False if the task must be woken."""


class HoldGroup:
    """All holds on one prediction."""

    __slots__ = (
        "changes",
        "first_seq",
        "is_looking",
        "last_seq",
        "leader",
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
        self.readers: dict[Hold, None] = {}  # streams that wait for a change: they read for themselves
        self.leader: Hold | None = None  # the stream that reads for those that can take what it has read
        self.changes = 0  # hints, and changes found by the poll
        self.wakes = 0  # requested reads
        self.seen = 0  # the value of `wakes` at the last read
        self.is_looking = False
        self.first_seq: float = math.inf  # the events after this one, up to `last_seq`, are known
        self.last_seq = 0
        self.urgent_seq = 0  # the last urgent event among them

    def wake_readers(self) -> None:
        """There is a change: wake the streams. Of those that can share a read, one is enough."""
        for reader in self.readers:
            if reader.take is None:
                reader.wake()
            elif self.leader is None:
                self.leader = reader
                reader.wake()

    def hand_on(self, leader: "Hold", key: BatchKey, batch: Batch) -> None:
        """This stream has read a batch: the others send it, or are woken. Does nothing if it was not the leader."""
        if self.leader is not leader:
            return
        self.leader = None
        is_newest = leader.changes == self.changes
        for reader in tuple(self.readers):
            take = reader.take
            if take is None:
                continue
            if is_newest and not reader.is_over and take(key, batch):
                reader.changes = self.changes
            else:
                reader.wake()

    def lose(self, leader: "Hold") -> None:
        """This stream ends: if the others waited for what it reads, they read for themselves."""
        if self.leader is leader:
            self.leader = None
            for reader in self.readers:
                reader.wake()


class HoldOwner(Protocol):
    """The methods of the hub that a hold uses."""

    clock: Clock
    attendance: AbandonmentTracker
    coalesce_seconds: float
    is_closed: bool

    def wake(self, group: HoldGroup) -> None: ...

    def take_over(self, hold: "Hold") -> None: ...

    def timer_expired(self, hold: "Hold") -> None: ...

    def end_with_key(self, hold: "Hold") -> None: ...

    def left(self, hold: "Hold") -> None: ...


class Hold:
    """One waiting request, in the hub from `Hub.enter` on. Implements `asgi.DeferredResponse`.

    The task of its request uses it as a context manager. At the end of the block it leaves the hub, unless `later` has
    made a deferred response of it.
    """

    __slots__ = (
        "_scope",
        "carrier",
        "changes",
        "coalesced_until",
        "due_at",
        "give",
        "group",
        "has_unseen",
        "hub",
        "is_counted",
        "is_deferred",
        "is_gone",
        "is_released",
        "is_revoked",
        "revision",
        "seq",
        "take",
        "tell",
        "tell_end",
        "timer",
        "until",
        "waker",
        "wakes",
    )

    tell: Tell
    due_at: float  # monotonic, as all times here
    coalesced_until: float
    revision: int  # of the row that its client knows
    seq: int  # the last event that its client knows

    def __init__(self, hub: HoldOwner, group: HoldGroup, scope: Scope) -> None:
        self.hub = hub
        self.group = group
        self.wakes = group.wakes  # reads that were requested before it entered do not concern it
        self.changes = group.changes
        self._scope: Scope | None = scope
        self.until = Until.END
        self.has_unseen = False  # events have come that are sent at `coalesced_until`
        self.is_counted = False  # it counts as a waiting client of a prediction that is canceled when abandoned
        self.is_deferred = False
        self.is_gone = GONE_KEY in scope  # the client does not wait any more, but may still read
        self.is_released = hub.is_closed  # the server stops: answer with the present state
        self.is_revoked = False
        self.carrier: Carrier | None = None
        self.give: Callable[[Outcome], None] | None = None  # set if parked
        self.tell_end: TellEnd | None = None
        self.take: Take | None = None
        self.waker: asyncio.Future[None] | None = None  # the task of a stream waits for this
        self.timer: asyncio.TimerHandle | None = None
        scope[HOLD_KEY] = self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.is_deferred:
            self._leave_scope()
            self.hub.left(self)

    def _leave_scope(self) -> None:
        if self._scope is not None:
            self._scope.pop(HOLD_KEY, None)
            self._scope = None

    @property
    def is_over(self) -> bool:
        """Whether it must end now, although nothing was found."""
        return self.is_gone or self.is_released or self.is_revoked

    def count_client(self, row: Prediction) -> None:
        """Count it as a waiting client of this prediction, until it leaves."""
        if self.hub.attendance.arrive(row):
            if self in self.group.members:
                self.is_counted = True
            else:  # its client disconnected before it could be counted
                self.hub.attendance.depart(row.id, is_told=False)

    def end_with_key(self, carrier: Carrier | None) -> None:
        """End it as soon as this key is invalid, or has lost the scope."""
        self.carrier = carrier
        self.hub.end_with_key(self)

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
        tell_end: TellEnd | None = None,
    ) -> "Hold":
        """Wait, at most this long. The client knows the row, and for NEWS the events up to `seq`.

        `has_unseen`: logs or progress have come since. With `tell_end` it may be answered without a read.
        """
        now = self.hub.clock.monotonic()
        self.count_client(row)
        self.until = until
        self.tell = tell
        self.tell_end = tell_end
        self.due_at = now + seconds
        self.coalesced_until = now + self.hub.coalesce_seconds
        self.carrier = carrier
        self.revision = row.revision
        self.seq = seq
        self.has_unseen = has_unseen
        return self

    def is_ready(self, row: Prediction, urgent_seq: int, now: float) -> bool:
        """Whether it is answered with this row. `urgent_seq` is the last urgent event."""
        if self.is_over or row.is_terminal or now >= self.due_at - EARLY_SECONDS:
            return True
        if self.until is Until.CHANGE:
            return row.revision > self.revision  # the row may have been read before the one that its client knows
        if self.until is Until.END:
            return False
        return urgent_seq > self.seq or (self.has_unseen and now >= self.coalesced_until - EARLY_SECONDS)

    # in the task of a stream

    async def changed(self, seconds: float) -> bool | None:
        """For streams: True after a change, False after so many seconds without one, None if it is over."""
        group = self.group
        if self.changes == group.changes and not self.is_over and seconds > 0:
            now = self.hub.clock.monotonic()
            self.set_timer(now + seconds, now)
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
        """Wake its own task, if it waits."""
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
        """A response that says that the answer is deferred."""
        self.defer()
        return Response(later=self)

    def defer(self) -> None:
        """Its request's task ends before its answer is given."""
        self.is_deferred = True
        self._leave_scope()

    def park(self, give: Callable[[Outcome], None]) -> None:
        """See `asgi.DeferredResponse`."""
        self.give = give
        self.hub.take_over(self)

    def answer_now(self) -> None:
        """See `asgi.DeferredResponse`. It counts as a disconnected client."""
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
        """The server stops. The hub reads once more."""
        self.is_released = True
        self.wake()

    def revoke(self) -> None:
        """Its key is invalid, or has lost the scope."""
        self.is_revoked = True
        self.wake()
        self.hub.wake(self.group)

    # its timer

    def set_timer(self, at: float, now: float) -> None:
        """Set the timer to this time of the clock, unless it is set to an earlier one."""
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
            self.hub.timer_expired(self)
