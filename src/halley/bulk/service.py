"""The use cases of bulk actions: preview, make, read, stop."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from halley.bulk.executor import BulkExecutor
from halley.bulk.ports import BulkPage, BulkStore
from halley.bulk.records import BulkAction, BulkItem, BulkKind, BulkOutcome, ReasonCount
from halley.clock import Clock
from halley.errors import InputInvalid, InvalidField, NotFound
from halley.ids import NewId, made_at
from halley.predictions.filters import PredictionFilter
from halley.predictions.search import SearchPart, SearchStore, never
from halley.predictions.status import LIVE, TERMINAL

SEARCH_STEPS: Final = 50
"""The most steps of one search for a set; each step reads up to `search.MOST_LOOKED_AT` predictions."""
MOST_NAMED: Final = 1000
"""Predictions that a request can name one by one."""
EXAMPLES: Final = 5
KEPT: Final = timedelta(days=30)
"""How long an action is kept after its end."""
_NEXT: Final = timedelta(microseconds=1)
_FINENESS_OF_IDS: Final = timedelta(milliseconds=1)
ON_REQUEST: Final = "on request"

_NARROWED: Final = {BulkKind.CANCEL: LIVE, BulkKind.RERUN: TERMINAL, BulkKind.DELETE_DATA: TERMINAL}
"""The statuses that an action is for, if its filter names none."""


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with which predictions: those that match the filter, or those that are named.

    With `limit`, only this number of the newest matching predictions; without it, one action must be able to take all.
    """

    kind: BulkKind
    filter: PredictionFilter | None
    named: tuple[str, ...] = ()
    limit: int | None = None

    @property
    def narrowed(self) -> PredictionFilter | None:
        """The filter, with the statuses that the action is for if it names none."""
        if self.filter is None or self.filter.statuses:
            return self.filter
        return msgspec.structs.replace(self.filter, statuses=_NARROWED[self.kind])


class BulkCaller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and the beginning of links in answers. Requests with the same `idempotency_key` make one action."""

    account_id: str
    key_id: str
    link_base: str | None = None
    idempotency_key: str | None = None


class ChosenSet(msgspec.Struct, frozen=True, kw_only=True):
    """The predictions of an action, the oldest first. `is_more`: there are more than one action takes. `is_part`: the
    search ended before it had read all predictions.
    """

    ids: tuple[str, ...]
    is_more: bool
    is_part: bool = False


class BulkActions:
    """Every method checks the account; actions and predictions of other accounts are absent."""

    def __init__(
        self,
        *,
        store: BulkStore,
        search: SearchStore,
        clock: Clock,
        new_id: NewId,
        most: int,
        executor: BulkExecutor,
    ) -> None:
        """An action has `most` predictions at most."""
        self._store = store
        self._search = search
        self._clock = clock
        self._new_id = new_id
        self._most = most
        self._executor = executor
        self.turn: Final = executor.turn  # of the background service

    def until_now(self) -> datetime:
        """The end of a filter, exclusive, that everything fits which was created so far.

        Where the clock was set back, that is later than now.
        """
        now, newest = self._clock.now(), made_at(self._new_id())
        return now + _NEXT if newest is None or newest <= now else newest + _FINENESS_OF_IDS

    async def choose(self, request: BulkRequest, account_id: str, *, is_over: Callable[[], bool] = never) -> ChosenSet:
        """The predictions that the action would have if it were made now. Once `is_over` is true the search ends, with
        a part of them.

        Raises:
            InputInvalid: a named prediction does not exist, or too many must be looked through.
        """
        wanted = request.narrowed
        if wanted is None:
            return ChosenSet(ids=await self._own(request.named, account_id), is_more=False)
        most = self._most if request.limit is None else min(request.limit, self._most)
        ids: list[str] = []
        resume: str | None = None
        for _ in range(SEARCH_STEPS):
            part = SearchPart(limit=most + 1 - len(ids), older_than=resume, is_over=is_over)
            found = await self._search.search_ids(account_id, wanted, part)
            ids += found.ids
            resume = found.resume
            is_more = len(ids) > most
            if resume is None or is_more or is_over():
                is_part = resume is not None and not is_more
                return ChosenSet(ids=tuple(ids[:most][::-1]), is_more=is_more, is_part=is_part)
            await asyncio.sleep(0)
        raise _invalid("filter", "too many predictions must be looked through; add created_after and created_before")

    async def make(self, request: BulkRequest, caller: BulkCaller) -> BulkAction:
        """Fix the set, and begin to carry out the action in the background.

        Raises:
            InputInvalid: as `choose`, or more predictions match than one action takes, and there is no `limit`.
            KeyReused: `idempotency_key` was used for another request.
            Conflict: too many actions of the account are running.
            Overloaded, StorageFull: nothing was stored.
        """
        chosen = await self.choose(request, caller.account_id)
        if chosen.is_more and request.limit is None:
            raise _invalid(
                "filter",
                f"more than {self._most} predictions match, which is the limit of one action (limits.bulk_predictions);"
                f" narrow it, or give limit to take the newest",
            )
        wanted = request.narrowed
        made = await self._store.put_bulk_action(
            BulkAction(
                id=self._new_id(),
                account_id=caller.account_id,
                key_id=caller.key_id,
                kind=request.kind,
                filter=None if wanted is None else wanted.members(),
                created_at=self._clock.now(),
                total=len(chosen.ids),
                link_base=caller.link_base,
                idempotency_key=caller.idempotency_key,
                most=request.limit,
            ),
            chosen.ids,
        )
        self._executor.wake()
        await self._store.forget_bulk_actions(self._clock.now() - KEPT, 1)  # as many as are made
        return made

    async def get(self, action_id: str, account_id: str) -> BulkAction:
        """The action as it is now.

        Raises:
            NotFound: absent, or of another account.
        """
        found = await self._store.bulk_action(action_id, account_id)
        if found is None:
            raise NotFound(f"There is no bulk action {action_id}")
        return found

    async def page(
        self, account_id: str, limit: int, *, older_than: str | None = None, newer_than: str | None = None
    ) -> BulkPage:
        """A page of the account's actions, newest first."""
        return await self._store.bulk_actions(account_id, limit, older_than=older_than, newer_than=newer_than)

    async def items(
        self, action_id: str, account_id: str, limit: int, *, outcome: BulkOutcome | None = None, after: int = -1
    ) -> list[BulkItem]:
        """Its items in order; see `BulkStore.bulk_items`. Raises as `get`."""
        await self.get(action_id, account_id)
        return await self._store.bulk_items(action_id, limit, outcome=outcome, after=after)

    async def reasons(self, action: BulkAction) -> Sequence[ReasonCount]:
        """Why items of an action, which the caller may see, were skipped or failed."""
        return await self._store.bulk_reasons(action.id) if action.skipped or action.failed else ()

    async def stop(self, action_id: str, account_id: str) -> BulkAction:
        """Begin no further item; what is under way is ended. One that has ended is unchanged. Raises as `get`."""
        stopped = await self._store.stop_bulk_action(action_id, account_id, self._clock.now(), ON_REQUEST)
        if stopped is None:
            raise NotFound(f"There is no bulk action {action_id}")
        self._executor.wake()
        return stopped

    async def _own(self, named: Sequence[str], account_id: str) -> tuple[str, ...]:
        own = await self._store.own_predictions(account_id, named)
        missing = [one for one in named if one not in own]
        if missing:
            raise _invalid("predictions", f"there is no prediction {missing[0][:64]}")
        return tuple(sorted(own))


def _invalid(field: str, description: str) -> InputInvalid:
    return InputInvalid((InvalidField(type="value", field=field, description=description),))
