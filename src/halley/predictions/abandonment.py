"""Cancels abandoned work: a prediction with this option is canceled when its last waiting client has disconnected.

Waiting clients are creates that wait, held reads and streams. A client that got its answer has not left; one that lost
its connection has. Clients usually reconnect within seconds, so a grace period passes first, and any read by a client
with access ends it. The predictions with waiting clients are also stored, a little later: when the server stops,
clients have not left by themselves, but may not come back either, so the next start begins their grace period.

With several API servers each knows its own clients. A row of one server in the store prevents the others from
canceling; rows of a lost server are taken over by one of the others, which begins the grace period. A client that lost
its connection at one server may reconnect at another: a read there is recorded as well, for as long as a grace period
can last.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Final

from halley.clock import Clock
from halley.errors import HalleyError, NotFound
from halley.predictions.attendance import AttendanceStore
from halley.predictions.records import Prediction
from halley.predictions.service import Predictions

_log: Final = logging.getLogger(__name__)
_TICK_SECONDS: Final = 0.5
REASON: Final = "abandoned"


class AbandonmentTracker:
    """Counts the waiting clients of predictions with this option. Other predictions are ignored."""

    def __init__(
        self,
        *,
        store: AttendanceStore,
        predictions: Predictions,
        clock: Clock,
        grace_seconds: float,
        node_id: str,
        lease_seconds: float = 20.0,
        is_alone: bool = True,
    ) -> None:
        """`node_id` is the id of this process. `is_alone`: no other API server uses the data; then no lease is
        renewed.
        """
        self._store = store
        self._predictions = predictions
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._node_id = node_id
        self._lease_seconds = lease_seconds
        self._is_alone = is_alone
        self._kept_at = -math.inf  # when the store last renewed this node, in elapsed time
        self._present: dict[str, int] = {}  # number of waiting clients
        self._left: dict[str, float] = {}  # without a waiting client: when the grace period ends
        self._accounts: dict[str, str] = {}
        self._read_at: dict[str, float] = {}  # by a client that may have lost its connection to another server
        self._stored: set[str] = set()
        self._is_closed = False

    @property
    def in_grace(self) -> Set[str]:
        """The predictions that are canceled soon, unless a client reconnects."""
        return self._left.keys()

    async def open(self) -> None:
        """Begin the grace period of predictions that had waiting clients when the last server ended. With several
        servers, the first turn does that.
        """
        if not self._is_alone:
            return
        awaited = await self._store.awaited()
        await self._begin_grace(awaited)
        if not awaited:  # there is nothing to take over
            self._kept_at = self._clock.elapsed()

    def close(self) -> None:
        """From now on no disconnection counts: the server is stopping. The next start finds the stored clients."""
        self._is_closed = True

    def arrive(self, row: Prediction) -> bool:
        """A client waits for it. True if that counts: then `depart` must follow."""
        if not row.cancel_abandoned or row.is_terminal:
            return False
        self._present[row.id] = self._present.get(row.id, 0) + 1
        self._accounts[row.id] = row.account_id
        self._left.pop(row.id, None)
        return True

    def depart(self, prediction_id: str, *, is_told: bool) -> None:
        """A client does not wait any more: it got an answer (`is_told`), or its connection was lost."""
        count = self._present.get(prediction_id)
        if count is None or self._is_closed:
            return
        if count > 1:
            self._present[prediction_id] = count - 1
            return
        del self._present[prediction_id]
        if is_told:
            del self._accounts[prediction_id]
        else:
            self._leave(prediction_id)

    @contextmanager
    def waiting(self, row: Prediction, is_told: Callable[[], bool]) -> Iterator[None]:
        """A client waits for it during the block; afterwards `is_told` says whether it got an answer."""
        is_counted = self.arrive(row)
        try:
            yield
        finally:
            if is_counted:
                self.depart(row.id, is_told=is_told())

    def seen(self, row: Prediction) -> None:
        """A client with access has asked for it: it is not abandoned."""
        self._forget(row.id)
        if not self._is_alone and row.cancel_abandoned and not row.is_terminal:
            self._read_at[row.id] = self._clock.monotonic()

    @property
    def _longest_grace(self) -> float:
        """Other servers store their clients with their next turn, so a grace period here is longer by that, and by one
        commit.
        """
        return self._grace_seconds + (0.0 if self._is_alone else 2 * _TICK_SECONDS)

    def _forget(self, prediction_id: str) -> None:
        if self._left.pop(prediction_id, None) is not None:
            del self._accounts[prediction_id]

    async def run(self) -> None:
        """Cancel abandoned predictions, and store which have waiters; until cancelled."""
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            try:
                await self.tick()
            except HalleyError as error:  # the next turn tries again
                _log.warning("abandoned predictions: %s", error)

    async def tick(self) -> None:
        """One turn of `run`."""
        now = self._clock.monotonic()
        for prediction_id in [one for one in self._left if self._is_abandoned(one, now)]:
            if self._is_abandoned(prediction_id, now):  # false if a client came while another prediction was canceled
                await self._cancel(prediction_id)
        if self._is_keeping_due() and not self._is_closed:
            await self._keep()
        waited_for = self._accounts.keys() | self._read_lately(now)
        added = sorted(waited_for - self._stored)
        dropped = [] if self._is_closed else sorted(self._stored - waited_for)
        if added or dropped:
            await self._store.note_awaited(self._node_id, added, dropped, self._clock.now(), self._lease_seconds)
            self._stored = (self._stored | set(added)) - set(dropped)

    def _read_lately(self, now: float) -> set[str]:
        """What keeps other servers from canceling: read since the grace period that may be ending there began."""
        remembered = now - self._longest_grace - 2 * self._lease_seconds  # until a lost server is taken over
        self._read_at = {one: at for one, at in self._read_at.items() if at > remembered}
        lately = now - self._longest_grace - 2 * _TICK_SECONDS
        return {one for one, at in self._read_at.items() if at > lately}

    def _is_keeping_due(self) -> bool:
        """A process that is alone takes over once; others renew, and look for lost nodes, four times in a lease."""
        if self._is_alone:
            return self._kept_at == -math.inf
        return self._clock.elapsed() - self._kept_at >= self._lease_seconds / 4

    async def _keep(self) -> None:
        began = self._clock.elapsed()
        kept = await self._store.keep_awaited(
            self._node_id, self._clock.now(), self._lease_seconds, alone=self._is_alone
        )
        self._kept_at = began
        if kept.was_lost:  # others took it over while this process was paused: store again which clients wait here
            self._stored.clear()
        self._stored.update(kept.taken)
        # a client of the lost server that has asked here already is back
        await self._begin_grace([one for one in kept.taken if one not in self._read_at])

    async def _begin_grace(self, prediction_ids: Sequence[str]) -> None:
        for prediction_id in prediction_ids:
            row = await self._predictions.find(prediction_id)
            if row is not None and not row.is_terminal and row.id not in self._accounts:
                self._accounts[row.id] = row.account_id
                self._leave(row.id)

    def _is_abandoned(self, prediction_id: str, now: float) -> bool:
        return self._left.get(prediction_id, math.inf) <= now

    def _leave(self, prediction_id: str) -> None:
        self._left[prediction_id] = self._clock.monotonic() + self._longest_grace

    async def _cancel(self, prediction_id: str) -> None:
        account_id = self._accounts[prediction_id]
        if not self._is_alone and await self._store.yield_awaited(self._node_id, prediction_id):
            self._stored.discard(prediction_id)
            if self._is_abandoned(prediction_id, self._clock.monotonic()):
                self._forget(prediction_id)
            return
        try:
            row = await self._predictions.cancel(prediction_id, account_id, reason=REASON)
            if row.termination_reason == REASON:
                _log.info("prediction %s is canceled: no client waits for it any more", prediction_id)
        except NotFound:
            pass
        self._forget(prediction_id)
