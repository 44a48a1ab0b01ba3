"""What bulk actions need from the store."""

from collections.abc import Awaitable, Collection, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from halley.bulk.records import BulkAction, BulkItem, BulkOutcome, ItemResult, ReasonCount, TakenItem
from halley.predictions.ports import Created, NewPrediction

MOST_RUNNING: Final = 10
"""Bulk actions of one account that run at the same time."""
REASONS_LISTED: Final = 20


class BulkHolder(msgspec.Struct, frozen=True, kw_only=True):
    """A process that carries out actions. `is_alone`: no other process can, so that what another one held is free."""

    id: str
    lease_seconds: float
    is_alone: bool = False


class BulkPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an account's actions, newest first."""

    items: tuple[BulkAction, ...]
    has_older: bool
    has_newer: bool


class BulkStore(Protocol):
    """Stores bulk actions. In the same database as `PredictionStore`; each method is one transaction.

    An action is carried out by one process at a time, the holder of its lease. Should two do so for a moment, because
    one was paused for longer than its lease, then nothing is done twice: an item gets one outcome, and one rerun.
    """

    def put_bulk_action(self, action: BulkAction, prediction_ids: Sequence[str]) -> Awaitable[BulkAction]:
        """Store a new action and its set, in this order; `total` is that of the set. An empty one is finished at once.

        If the account has an action with the same `idempotency_key`, that is returned, and nothing is stored.

        Raises:
            KeyReused: the action with the same `idempotency_key` is of another kind, or has another filter.
            Conflict: MOST_RUNNING actions of the account are running; nothing was stored.
        """
        ...

    async def bulk_action(self, action_id: str, account_id: str | None = None) -> BulkAction | None:
        """The action; None if absent, or if `account_id` is given and is not its owner."""
        ...

    async def bulk_actions(
        self, account_id: str, limit: int, *, older_than: str | None = None, newer_than: str | None = None
    ) -> BulkPage:
        """A page of the account's actions, newest first; at most one of the two ids is given."""
        ...

    async def bulk_items(
        self, action_id: str, limit: int, *, outcome: BulkOutcome | None = None, after: int = -1
    ) -> list[BulkItem]:
        """Items with positions above `after`, in order; with `outcome` only those that have it."""
        ...

    async def bulk_reasons(self, action_id: str, limit: int = REASONS_LISTED) -> list[ReasonCount]:
        """Why items were skipped or failed, the most frequent reason first."""
        ...

    def stop_bulk_action(
        self, action_id: str, account_id: str | None, at: datetime, reason: str
    ) -> Awaitable[BulkAction | None]:
        """Stop it: no item is begun after this. One that has ended is unchanged; None as `bulk_action`."""
        ...

    async def running_bulk_actions(self) -> list[BulkAction]:
        """Those of all accounts that run, the oldest first."""
        ...

    def take_bulk_items(
        self, action_id: str, holder: BulkHolder, at: datetime, limit: int
    ) -> Awaitable[Sequence[TakenItem] | None]:
        """Items without an outcome, in order, to be carried out now; they count as begun. Takes or renews the lease.

        Empty if there are none: then the action is finished by this. None if it does not run, or another process holds
        it.
        """
        ...

    def settle_bulk_items(self, action_id: str, results: Sequence[ItemResult]) -> Awaitable[None]:
        """Record outcomes of items that have none yet; also of a stopped action. `waiting` becomes None if any are."""
        ...

    def rerun_bulk_item(self, new: NewPrediction, of: str, action_id: str, position: int) -> Awaitable[Created]:
        """As `RerunStore.rerun`, and record the outcome of the item, in the same transaction.

        Raises as `rerun` does, and:
            Conflict: the item has an outcome, or the action does not run; nothing was stored.
        """
        ...

    def note_bulk_waiting(self, action_id: str, waiting: str | None) -> Awaitable[None]:
        """Record why it cannot continue now; None: it can."""
        ...

    async def waiting_reruns(self, action_id: str) -> int:
        """How many reruns of this action are in the queue, running ones included."""
        ...

    async def own_predictions(self, account_id: str, prediction_ids: Collection[str]) -> set[str]:
        """Those of these that are predictions of the account."""
        ...

    def forget_bulk_actions(self, ended_before: datetime, limit: int) -> Awaitable[int]:
        """Remove at most `limit` actions that ended before that, with their items; returns their number.

        Any process may do that.
        """
        ...
