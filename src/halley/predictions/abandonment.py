"""Abandoned work: a prediction with this option is canceled when its last waiter is gone.

Who waits is a create that waits, a read that is held, a stream. To be told and go is no leaving; to lose the
connection is. Clients that lose theirs come back within seconds, so a grace passes first, and any read by somebody who
may read it ends the grace. Which predictions are waited for is stored as well, a little later: when the server ends,
nobody has left of his own will, but nobody may come back either, so the next start begins their grace.

With several API servers each knows its own clients. What one remembers in the store keeps the others from canceling;
what a lost one remembered, one of the others takes over, and begins the grace. A client that lost its connection at one
server may come back at another: whoever reads there is remembered as well, for as long as a grace can last.
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
    """Who waits for which prediction. Predictions that do not want to be canceled are not looked at."""

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
        """`node_id` is that of this process. `is_alone`: no other API server uses the data; then nothing is renewed."""
        self._store = store
        self._predictions = predictions
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._node_id = node_id
        self._lease_seconds = lease_seconds
        self._is_alone = is_alone
        self._kept_at = -math.inf  # when the store knew last that this node is there, in time that passed
        self._present: dict[str, int] = {}  # how many wait
        self._left: dict[str, float] = {}  # no waiter is left: when the grace period ends
        self._accounts: dict[str, str] = {}
        self._read_until: dict[str, float] = {}  # clients of other servers that came here: until their grace is over
        self._stored: set[str] = set()
        self._is_closed = False

    @property
    def in_grace(self) -> Set[str]:
        """What is canceled soon, unless somebody comes for it."""
        return self._left.keys()

    async def open(self) -> None:
        """Begin the grace of what was waited for when the last server ended. With several, the first turn does that."""
        if not self._is_alone:
            return
        awaited = await self._store.awaited()
        await self._begin_grace(awaited)
        if not awaited:  # there is nothing to take over
            self._kept_at = self._clock.elapsed()

    def close(self) -> None:
        """From now on no departure counts: the server is stopping. The next start finds the current waiters."""
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
        """A client waits no more, because of an answer or because the connection is lost."""
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
        """A client waits for it during the block; after it `is_told` says how that ended."""
        is_counted = self.arrive(row)
        try:
            yield
        finally:
            if is_counted:
                self.depart(row.id, is_told=is_told())

    def seen(self, row: Prediction) -> None:
        """A client that may read it has asked for it: it is not abandoned."""
        self._forget(row.id)
        if not self._is_alone and row.cancel_abandoned and not row.is_terminal:
            self._read_until[row.id] = self._clock.monotonic() + self._longest_grace + 2 * _TICK_SECONDS

    @property
    def _longest_grace(self) -> float:
        """Others store their clients with the next turn, so here a grace lasts longer by that, and by one commit."""
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
            if self._is_abandoned(prediction_id, now):  # not if a waiter came while another one was canceled
                await self._cancel(prediction_id)
        if self._is_keeping_due() and not self._is_closed:
            await self._keep()
        self._read_until = {one: until for one, until in self._read_until.items() if until > now}
        waited_for = self._accounts.keys() | self._read_until.keys()
        added = sorted(waited_for - self._stored)
        dropped = [] if self._is_closed else sorted(self._stored - waited_for)
        if added or dropped:
            await self._store.note_awaited(self._node_id, added, dropped, self._clock.now(), self._lease_seconds)
            self._stored = (self._stored | set(added)) - set(dropped)

    def _is_keeping_due(self) -> bool:
        """Whoever is alone takes over once; others renew, and look for lost nodes, four times in a lease."""
        if self._is_alone:
            return self._kept_at == -math.inf
        return self._clock.elapsed() - self._kept_at >= self._lease_seconds / 4

    async def _keep(self) -> None:
        began = self._clock.elapsed()
        kept = await self._store.keep_awaited(
            self._node_id, self._clock.now(), self._lease_seconds, alone=self._is_alone
        )
        self._kept_at = began
        if kept.was_lost:  # others took it over while this process was paused: they shall know who waits here
            self._stored.clear()
        self._stored.update(kept.taken)
        await self._begin_grace([one for one in kept.taken if one not in self._accounts])

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
