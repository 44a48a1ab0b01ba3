"""Informs streams that some prediction of their account has changed; pages then ask which.

Many changes become one: at most one each second, and less often if many streams are open, because each makes its reader
ask again. Without streams nothing is done. A hint names a prediction, not its account, so the rows of some of them are
read; those of whose account all streams know already that something has changed are not.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from halley.api.http.asgi import Scope
from halley.api.waiting.hold import Hold
from halley.api.waiting.hub import Hub
from halley.api.waiting.streams import HELLO, KEEP_ALIVE, KEEP_ALIVE_SECONDS
from halley.clock import Clock
from halley.keys.records import Scope as KeyScope
from halley.keys.service import Identity
from halley.predictions.service import Predictions

PACE_SECONDS: Final = 1.0
STREAMS_AT_PACE: Final = 10  # with more streams all get events less often, in proportion
CLOCK_SECONDS: Final = 5.0
READS_AT_ONCE: Final = 50
_REMEMBERED: Final = 2000
_WAITING: Final = 2000
CHANGED: Final = b"event: changed\ndata: 1\n\n"
END: Final = b"event: end\ndata: 1\n\n"  # do not come back with this key


class AccountChanges:
    """The open streams, and what changed since their last event. Use it in the loop's thread only."""

    def __init__(self, *, hub: Hub, predictions: Predictions, clock: Clock) -> None:
        self._hub = hub
        self._predictions = predictions
        self._clock = clock
        self._streams: dict[str, int] = {}  # by account
        self._count = 0
        self._changed: dict[str, None] = {}  # in the order of arrival
        self._was_dropped = False
        self._accounts: dict[str, str] = {}  # of predictions, the least recent first
        self._telling: asyncio.Task[None] | None = None
        self._noted = 0
        self.reads = 0  # rows read to find an account

    def __len__(self) -> int:
        return self._count

    @property
    def noted(self) -> int | None:
        """How many changes were noticed; None if they are not, because no stream is open."""
        return self._noted if self._streams else None

    def note(self, prediction_id: str) -> None:
        """It has changed. The hub calls this while streams are open."""
        self._noted += 1
        if len(self._changed) < _WAITING:
            self._changed[prediction_id] = None
        else:
            self._was_dropped = True
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def of_account(self, identity: Identity, scope: Scope) -> AsyncGenerator[bytes, None]:
        """The stream of an account: `changed` at its beginning, and after changes; `end` when the key is invalid."""
        account_id = identity.account.id
        self._enter(account_id)
        try:
            with self._hub.enter(_group(account_id), scope) as hold:
                async for piece in self._pieces(hold, identity):
                    yield piece
        finally:
            self._leave(account_id)

    async def of_prediction(self, prediction_id: str, identity: Identity, scope: Scope) -> AsyncGenerator[bytes, None]:
        """The same for one prediction, which the caller may read."""
        with self._hub.enter(prediction_id, scope) as hold:
            async for piece in self._pieces(hold, identity):
                yield piece
                if piece is CHANGED:
                    await self._clock.sleep(PACE_SECONDS)

    async def of_clock(self, identity: Identity, scope: Scope) -> AsyncGenerator[bytes, None]:
        """For what changes without hints: `changed` every few seconds."""
        self._count += 1
        try:
            with self._hub.enter("clock", scope) as hold:
                async for piece in self._pieces(hold, identity, has_hints=False):
                    yield piece
        finally:
            self._count -= 1

    async def _pieces(self, hold: Hold, identity: Identity, *, has_hints: bool = True) -> AsyncGenerator[bytes, None]:
        hold.end_with_key((identity.key.id, KeyScope.READ))
        yield HELLO
        yield CHANGED  # what happened between the page and this stream
        while True:
            seconds = KEEP_ALIVE_SECONDS if has_hints else CLOCK_SECONDS * self._slowness()
            is_changed = await hold.changed(seconds)
            if is_changed is None:
                break
            yield CHANGED if is_changed or not has_hints else KEEP_ALIVE
        if hold.is_revoked:
            yield END

    def _enter(self, account_id: str) -> None:
        self._count += 1
        if not self._streams:
            self._noted += 1  # without streams no changes were noticed
        self._streams[account_id] = self._streams.get(account_id, 0) + 1
        self._hub.tell_changes(self.note)

    def _leave(self, account_id: str) -> None:
        self._count -= 1
        left = self._streams.pop(account_id) - 1
        if left:
            self._streams[account_id] = left
        if not self._streams:
            self._hub.tell_changes(None)
            self._changed.clear()

    def _slowness(self) -> float:
        return max(1.0, self._count / STREAMS_AT_PACE)

    async def _tell(self) -> None:
        try:
            while self._changed and self._streams:
                for account_id in await self._changed_accounts():
                    self._hub.wake_streams(_group(account_id))
                await self._clock.sleep(PACE_SECONDS * self._slowness())
        finally:
            self._telling = None

    async def _changed_accounts(self) -> set[str]:
        """The accounts with streams that changed; the rest of what is too much is kept for the next time."""
        untold = set(self._streams)
        told: set[str] = set()
        if self._was_dropped:  # any may be among those that were dropped
            self._was_dropped = False
            self._changed.clear()
            return untold
        reads = READS_AT_ONCE
        while self._changed and untold and reads:
            prediction_id = next(iter(self._changed))
            account_id = self._accounts.get(prediction_id)
            if account_id is None:
                reads -= 1
                account_id = await self._read(prediction_id)
            self._changed.pop(prediction_id, None)
            if account_id in untold:
                untold.discard(account_id)
                told.add(account_id)
        if not untold:
            self._changed.clear()
        return told

    async def _read(self, prediction_id: str) -> str:
        self.reads += 1
        row = await self._predictions.outline(prediction_id)
        account_id = "" if row is None else row.account_id
        self._accounts[prediction_id] = account_id
        if len(self._accounts) > _REMEMBERED:
            del self._accounts[next(iter(self._accounts))]
        return account_id


def _group(account_id: str) -> str:
    return f"account {account_id}"
