"""A bulk action, and its items. Frozen values."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec


class BulkKind(StrEnum):
    """What is done with each prediction."""

    CANCEL = "cancel"
    RERUN = "rerun"
    DELETE_DATA = "delete-data"


class BulkState(StrEnum):
    """The state of a bulk action. A stopped one is never continued."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"


class BulkOutcome(StrEnum):
    """What became of one prediction of the set. SKIPPED: there was nothing to do, or it must not be done."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class BulkAction(msgspec.Struct, frozen=True, kw_only=True):
    """An action on a fixed set of predictions of one account, with the permissions of one key.

    `filter` has the members of the filter that chose the set; None: the predictions were named one by one. `reason`
    says why it was stopped, `waiting` why it cannot continue now. `link_base` is the beginning of links to this server
    for the caller. Requests of an account with the same `idempotency_key` make one action. `most`: the set was limited
    to this number of the newest predictions that matched.
    """

    id: str
    account_id: str
    key_id: str
    kind: BulkKind
    filter: Mapping[str, str] | None
    created_at: datetime
    total: int
    state: BulkState = BulkState.RUNNING
    ended_at: datetime | None = None
    reason: str | None = None
    waiting: str | None = None
    link_base: str | None = None
    idempotency_key: str | None = None
    most: int | None = None
    done: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def remaining(self) -> int:
        """How many predictions have no outcome yet; of a stopped action they get none."""
        return self.total - self.done - self.skipped - self.failed


class BulkItem(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction of the set. `rerun_id` is the new prediction of a rerun."""

    position: int
    prediction_id: str
    outcome: BulkOutcome | None = None
    reason: str | None = None
    rerun_id: str | None = None


class TakenItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item to be carried out. `was_begun`: it was begun before, and no result was recorded."""

    position: int
    prediction_id: str
    was_begun: bool


class ItemResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an item."""

    position: int
    outcome: BulkOutcome
    reason: str | None = None


class ReasonCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many items of an action had the same outcome for the same reason, and the first of them."""

    outcome: BulkOutcome
    reason: str | None
    count: int
    example: str
