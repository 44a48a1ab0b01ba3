"""Carries out a bulk action on one prediction, with the use cases that a single request has.

A use case that refuses raises a `HalleyError`; `executor` decides what that means for the item.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, assert_never

from halley.bulk.ports import BulkStore
from halley.bulk.records import BulkAction, BulkKind, BulkOutcome, ItemResult, TakenItem
from halley.errors import NotFound
from halley.predictions.ports import Created, NewPrediction
from halley.predictions.records import Prediction
from halley.predictions.running_again import Reruns
from halley.predictions.service import Predictions
from halley.predictions.status import Status, SubmitState, was_canceled

RemoveData = Callable[[str, str], Awaitable[None]]
"""Removes the data of a prediction of an account; see `RetentionService.remove_now`."""

RERUN_PRIORITY: Final = -1
"""Lower than the priority of other creates of the account, so that they do not wait for a long action."""

WAS_REMOVED: Final = "its data was removed before"
_INPUT_REMOVED: Final = "its input was removed"
_HAS_NOT_ENDED: Final = "it has not ended"
_UNKNOWN: Final = (
    "it may have run at a provider: settle its unknown outcome, or run it again alone if it may be paid for twice"
)


def _ended(status: Status) -> str:
    """Why a prediction is not canceled."""
    match status:
        case Status.SUCCEEDED:
            return "it had succeeded"
        case Status.FAILED:
            return "it had failed"
        case Status.CANCELED:
            return "it had been canceled"
        case Status.ABORTED:
            return "it had been aborted"
        case Status.STARTING | Status.PROCESSING:
            return "it cannot be canceled now"
        case _:
            assert_never(status)


class ItemActions:
    """One method for each kind of action."""

    def __init__(self, *, predictions: Predictions, reruns: Reruns, remove_data: RemoveData, store: BulkStore) -> None:
        self._predictions = predictions
        self._reruns = reruns
        self._remove_data = remove_data
        self._store = store
        self._by_kind: Mapping[
            BulkKind, Callable[[BulkAction, TakenItem, Prediction], Awaitable[ItemResult | None]]
        ] = {
            BulkKind.CANCEL: self._cancel,
            BulkKind.RERUN: self._rerun,
            BulkKind.DELETE_DATA: self._delete_data,
        }

    async def take(self, action: BulkAction, item: TakenItem) -> ItemResult | None:
        """Carry out one item. None: the outcome is recorded already.

        Raises what its use case raises.
        """
        row = await self._predictions.outline(item.prediction_id, action.account_id)
        if row is None:
            raise NotFound(f"There is no prediction {item.prediction_id}")
        return await self._by_kind[action.kind](action, item, row)

    async def _cancel(self, action: BulkAction, item: TakenItem, row: Prediction) -> ItemResult:
        if row.is_terminal:
            # a process that died before it recorded the outcome did it
            is_ours = item.was_begun and was_canceled(row.status)
            return _done(item) if is_ours else _skipped(item, _ended(row.status))
        ended = await self._predictions.cancel(row.id, action.account_id)
        return _done(item) if was_canceled(ended.status) else _skipped(item, _ended(ended.status))

    async def _rerun(self, action: BulkAction, item: TakenItem, row: Prediction) -> ItemResult | None:
        if row.data_removed_at is not None:
            return _skipped(item, _INPUT_REMOVED)
        if row.submit_state is SubmitState.UNKNOWN:
            return _skipped(item, _UNKNOWN)
        await self._reruns.rerun(
            row.id,
            action.account_id,
            action.key_id,
            link_base=action.link_base,
            priority=RERUN_PRIORITY,
            store_as=partial(self._store_rerun, action.id, item.position),
        )
        return None

    async def _store_rerun(self, action_id: str, position: int, new: NewPrediction, of: str) -> Created:
        return await self._store.rerun_bulk_item(new, of, action_id, position)

    async def _delete_data(self, action: BulkAction, item: TakenItem, row: Prediction) -> ItemResult:
        if row.data_removed_at is not None:
            return _done(item) if item.was_begun else _skipped(item, WAS_REMOVED)
        if not row.is_terminal:
            return _skipped(item, _HAS_NOT_ENDED)
        await self._remove_data(row.id, action.account_id)
        return _done(item)


def _done(item: TakenItem) -> ItemResult:
    return ItemResult(position=item.position, outcome=BulkOutcome.DONE)


def _skipped(item: TakenItem, reason: str) -> ItemResult:
    return ItemResult(position=item.position, outcome=BulkOutcome.SKIPPED, reason=reason)
