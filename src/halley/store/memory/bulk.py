"""Bulk actions: `BulkStore` in dictionaries."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from halley.bulk.ports import MOST_RUNNING, REASONS_LISTED, BulkHolder, BulkPage
from halley.bulk.records import BulkAction, BulkItem, BulkOutcome, BulkState, ItemResult, ReasonCount, TakenItem
from halley.bulk.repeated_requests import same_request
from halley.errors import Conflict, KeyReused
from halley.predictions.ports import Created, NewPrediction
from halley.store.memory.entries import at_once
from halley.store.memory.reruns import MemoryReruns
from halley.store.memory.tables import BulkEntry

_COUNTED = {outcome: outcome.value for outcome in BulkOutcome}  # the member of BulkAction that counts it


class MemoryBulk(MemoryReruns):
    """Implements `bulk.ports.BulkStore`."""

    @at_once
    def put_bulk_action(self, action: BulkAction, prediction_ids: Sequence[str]) -> BulkAction:
        for entry in self.tables.bulk.values():
            known = entry.action
            if action.idempotency_key is not None and (known.account_id, known.idempotency_key) == (
                action.account_id,
                action.idempotency_key,
            ):
                same = same_request(action, prediction_ids, known, [one.prediction_id for one in entry.items])
                if isinstance(same, KeyReused):
                    raise same
                return same
        running = [one for one in self._running() if one.account_id == action.account_id]
        if len(running) >= MOST_RUNNING:
            raise Conflict(f"{MOST_RUNNING} bulk actions of this account are running. Wait for one, or stop one.")
        action = msgspec.structs.replace(action, total=len(prediction_ids))
        if not prediction_ids:
            action = msgspec.structs.replace(action, state=BulkState.FINISHED, ended_at=action.created_at)
        items = [BulkItem(position=at, prediction_id=one) for at, one in enumerate(prediction_ids)]
        self.tables.bulk[action.id] = BulkEntry(action, items)
        return action

    async def bulk_action(self, action_id: str, account_id: str | None = None) -> BulkAction | None:
        return self._bulk(action_id, account_id)

    async def bulk_actions(
        self, account_id: str, limit: int, *, older_than: str | None = None, newer_than: str | None = None
    ) -> BulkPage:
        own = sorted((one.action for one in self.tables.bulk.values() if one.action.account_id == account_id), key=_id)
        newer = [one for one in own if newer_than is not None and one.id > newer_than]
        if newer_than is not None:
            return BulkPage(
                items=tuple(newer[:limit][::-1]), has_newer=len(newer) > limit, has_older=len(newer) < len(own)
            )
        older = [one for one in own[::-1] if older_than is None or one.id < older_than]
        return BulkPage(items=tuple(older[:limit]), has_older=len(older) > limit, has_newer=len(older) < len(own))

    async def bulk_items(
        self, action_id: str, limit: int, *, outcome: BulkOutcome | None = None, after: int = -1
    ) -> list[BulkItem]:
        entry = self.tables.bulk.get(action_id)
        items = [] if entry is None else entry.items[after + 1 :]
        return [item for item in items if outcome in (None, item.outcome)][:limit]

    async def bulk_reasons(self, action_id: str, limit: int = REASONS_LISTED) -> list[ReasonCount]:
        entry = self.tables.bulk.get(action_id)
        counts: Counter[tuple[BulkOutcome, str | None]] = Counter()
        examples: dict[tuple[BulkOutcome, str | None], str] = {}
        for item in [] if entry is None else entry.items:
            if item.outcome in (BulkOutcome.SKIPPED, BulkOutcome.FAILED):
                why = (item.outcome, item.reason)
                counts[why] += 1
                examples[why] = min(examples.get(why, item.prediction_id), item.prediction_id)
        found = [
            ReasonCount(outcome=outcome, reason=reason, count=count, example=examples[outcome, reason])
            for (outcome, reason), count in counts.items()
        ]
        return sorted(found, key=lambda one: (-one.count, one.reason or ""))[:limit]

    @at_once
    def stop_bulk_action(self, action_id: str, account_id: str | None, at: datetime, reason: str) -> BulkAction | None:
        action = self._bulk(action_id, account_id)
        if action is not None and action.state is BulkState.RUNNING:
            self._change(action_id, state=BulkState.STOPPED, ended_at=self._clock.look(at), reason=reason, waiting=None)
        return self._bulk(action_id, account_id)

    async def running_bulk_actions(self) -> list[BulkAction]:
        return self._running()

    @at_once
    def take_bulk_items(
        self, action_id: str, holder: BulkHolder, at: datetime, limit: int
    ) -> Sequence[TakenItem] | None:
        now, entry = self._clock.look(at), self.tables.bulk.get(action_id)
        if entry is None or entry.action.state is not BulkState.RUNNING:
            return None
        if entry.holder not in (None, holder.id) and not holder.is_alone and entry.lease_until > now:
            return None
        entry.holder, entry.lease_until = holder.id, now + timedelta(seconds=holder.lease_seconds)
        items = [item for item in entry.items if item.outcome is None][:limit]
        if not items:
            self._change(action_id, state=BulkState.FINISHED, ended_at=now, waiting=None)
            return ()
        taken = [
            TakenItem(position=item.position, prediction_id=item.prediction_id, was_begun=item.position < entry.begun)
            for item in items
        ]
        entry.begun = max(entry.begun, items[-1].position + 1)
        return taken

    @at_once
    def settle_bulk_items(self, action_id: str, results: Sequence[ItemResult]) -> None:
        for result in results:
            self._settle(action_id, result)

    @at_once
    def rerun_bulk_item(self, new: NewPrediction, of: str, action_id: str, position: int) -> Created:
        entry = self.tables.bulk.get(action_id)
        is_open = entry is not None and entry.items[position].outcome is None
        if entry is None or not is_open or entry.action.state is not BulkState.RUNNING:
            raise Conflict("The bulk action was stopped, or has run this prediction again before.")
        created = self.rerun_one(new, of)
        self._settle(action_id, ItemResult(position=position, outcome=BulkOutcome.DONE), created.prediction.id)
        return created

    @at_once
    def note_bulk_waiting(self, action_id: str, waiting: str | None) -> None:
        action = self._bulk(action_id, None)
        if action is not None and action.state is BulkState.RUNNING:
            self._change(action_id, waiting=waiting)

    async def waiting_reruns(self, action_id: str) -> int:
        entry = self.tables.bulk.get(action_id)
        made = [] if entry is None else [item.rerun_id for item in entry.items if item.rerun_id is not None]
        return sum(self._entries[one].place is not None for one in made)

    async def own_predictions(self, account_id: str, prediction_ids: Collection[str]) -> set[str]:
        return {one for one in prediction_ids if await self.get(one, account_id) is not None}

    @at_once
    def forget_bulk_actions(self, ended_before: datetime, limit: int) -> int:
        ended = [one.action for one in self.tables.bulk.values() if one.action.ended_at is not None]
        old = [one.id for one in ended if one.ended_at is not None and one.ended_at < ended_before][:limit]
        for action_id in old:
            del self.tables.bulk[action_id]
        return len(old)

    def _running(self) -> list[BulkAction]:
        actions = sorted((entry.action for entry in self.tables.bulk.values()), key=_id)
        return [action for action in actions if action.state is BulkState.RUNNING]

    def _bulk(self, action_id: str, account_id: str | None) -> BulkAction | None:
        entry = self.tables.bulk.get(action_id)
        if entry is None or account_id not in (None, entry.action.account_id):
            return None
        return entry.action

    def _settle(self, action_id: str, result: ItemResult, rerun_id: str | None = None) -> None:
        entry = self.tables.bulk[action_id]
        item = entry.items[result.position]
        if item.outcome is not None:
            return
        entry.items[result.position] = msgspec.structs.replace(
            item, outcome=result.outcome, reason=result.reason, rerun_id=rerun_id
        )
        counted = _COUNTED[result.outcome]
        self._change(action_id, waiting=None, **{counted: getattr(entry.action, counted) + 1})

    def _change(self, action_id: str, **members: object) -> None:
        entry = self.tables.bulk[action_id]
        entry.action = msgspec.structs.replace(entry.action, **members)


def _id(action: BulkAction) -> str:
    return action.id
