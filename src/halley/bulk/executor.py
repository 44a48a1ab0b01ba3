"""Carries out bulk actions in the background, a few predictions at a time, so that other requests do not wait for them.

What is left to do is in the store: a process that starts after a crash continues where the other one was.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from halley.bulk.item_actions import ItemActions
from halley.bulk.ports import BulkHolder, BulkStore
from halley.bulk.records import BulkAction, BulkKind, BulkOutcome, ItemResult, TakenItem
from halley.clock import Clock
from halley.errors import Busy, Conflict, HalleyError, NotFound, QueueFull, StorageFull, SubmitLimitReached, WrongState
from halley.wakeable_sleep import WakeableSleep

_log: Final = logging.getLogger(__name__)

BATCH: Final = 20
"""Predictions of one action at a time; then it is the next action's turn."""
WAITING_RERUNS: Final = 100
"""Reruns of one action in the queue at the same time; the next ones are made as these run."""
LEASE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 10.0  # between looks for actions of other processes, if there may be other processes
RETRY_SECONDS: Final = 1.0  # before the first retry of an item that is not possible now; doubles each time
LONGEST_RETRY_SECONDS: Final = 30.0
TRIES: Final = 5  # of an item whose obstacle may never end
_TOGETHER: Final = {BulkKind.CANCEL: BATCH, BulkKind.RERUN: 4, BulkKind.DELETE_DATA: 4}
"""Items carried out at the same time. The last two kinds read whole predictions, which may have 60 MiB each."""
_REST_SECONDS: Final = 0.005
_KEY_GONE: Final = "its API key is not valid any more, or has lost a scope"
_QUEUE_FULL: Final = f"{WAITING_RERUNS} of its predictions are in the queue"
_BUG: Final = "an error of this server; its log has the details"

MayAct = Callable[[str], Awaitable[bool]]
"""Whether the key with this id may still read and write."""


class BulkExecutor:
    """Call `turn` repeatedly. Everything happens in the thread of the event loop."""

    def __init__(
        self,
        *,
        store: BulkStore,
        item_actions: ItemActions,
        may_act: MayAct,
        clock: Clock,
        holder_id: str,
        is_alone: bool,
    ) -> None:
        """`is_alone`: no other process carries out actions on this data."""
        self._store = store
        self._item_actions = item_actions
        self._may_act = may_act
        self._clock = clock
        self._holder = BulkHolder(id=holder_id, lease_seconds=LEASE_SECONDS, is_alone=is_alone)
        self._pauses: dict[str, _Pause] = {}  # by action
        self._tries: dict[tuple[str, int], int] = {}  # of items, by action and position
        self._room: dict[str, int] = {}  # by action: how many reruns may still be made before the queue is looked at
        self._sleep = WakeableSleep(clock)

    def wake(self) -> None:
        """There is a new action, or one was stopped."""
        self._sleep.ring()

    async def turn(self) -> None:
        """A batch of each action that can continue, or a sleep until there may be one."""
        running = await self._store.running_bulk_actions()
        self._forget_others({action.id for action in running})
        now = self._clock.monotonic()
        due = [action for action in running if action.id not in self._pauses or self._pauses[action.id].until <= now]
        for action in due:
            began = self._clock.monotonic()
            await self._batch(action)
            # let other requests use the store for as long as this batch did
            await self._clock.sleep(max(_REST_SECONDS, self._clock.monotonic() - began))
        if not due:
            await self._sleep.sleep(self._pause_seconds(now))

    def _pause_seconds(self, now: float) -> float | None:
        """Until the next action can continue; None: until there is one."""
        ends = [pause.until - now for pause in self._pauses.values()]
        if not self._holder.is_alone:
            ends.append(LOOK_SECONDS)
        return min(ends, default=None)

    def _forget_others(self, action_ids: set[str]) -> None:
        """Forget what was known of actions that have ended."""
        for known in (self._pauses, self._room):
            for action_id in known.keys() - action_ids:
                del known[action_id]
        self._tries = {place: count for place, count in self._tries.items() if place[0] in action_ids}

    async def _batch(self, action: BulkAction) -> None:
        if not await self._may_act(action.key_id):
            await self._store.stop_bulk_action(action.id, None, self._clock.now(), _KEY_GONE)
            return
        size = BATCH if action.kind is not BulkKind.RERUN else min(BATCH, await self._rerun_room(action))
        if size <= 0:
            await self._wait(action, _QUEUE_FULL)
            return
        taken = await self._store.take_bulk_items(action.id, self._holder, self._clock.now(), size)
        if taken is None:
            self._pauses[action.id] = _Pause(self._clock.monotonic() + LOOK_SECONDS)
            return
        await self._carry_out(action, taken)

    async def _carry_out(self, action: BulkAction, taken: Sequence[TakenItem]) -> None:
        outcomes: list[ItemResult | HalleyError | None] = []
        portion = _TOGETHER[action.kind]
        for start in range(0, len(taken), portion):
            outcomes += await asyncio.gather(*[self._one(action, item) for item in taken[start : start + portion]])
        results = [outcome for outcome in outcomes if isinstance(outcome, ItemResult)]
        if results:
            await self._store.settle_bulk_items(action.id, results)
        if action.kind is BulkKind.RERUN:
            self._room[action.id] = self._room.get(action.id, 0) - sum(outcome is None for outcome in outcomes)
        obstacles = [outcome for outcome in outcomes if isinstance(outcome, HalleyError)]
        if len(obstacles) < len(taken):
            self._pauses.pop(action.id, None)
        if obstacles:
            await self._wait(action, _text(obstacles[0], taken))

    async def _one(self, action: BulkAction, item: TakenItem) -> ItemResult | HalleyError | None:
        """The outcome of an item; None if the outcome is recorded already; an error if the item must be tried again."""
        try:
            return await self._item_actions.take(action, item)
        except (QueueFull, StorageFull, SubmitLimitReached) as obstacle:
            return obstacle
        except Busy as obstacle:
            place = (action.id, item.position)
            tries = self._tries[place] = self._tries.get(place, 0) + 1
            return obstacle if tries < TRIES else _failed(item, obstacle)
        except Conflict:  # the action was stopped, or another process has carried out the item
            return None
        except (WrongState, NotFound) as error:
            return ItemResult(position=item.position, outcome=BulkOutcome.SKIPPED, reason=_text(error, [item]))
        except HalleyError as error:
            return _failed(item, error)
        except Exception:  # noqa: BLE001 - one item must not end the others
            _log.exception("bulk action %s: prediction %s", action.id, item.prediction_id)
            return ItemResult(position=item.position, outcome=BulkOutcome.FAILED, reason=_BUG)

    async def _rerun_room(self, action: BulkAction) -> int:
        room = self._room.get(action.id, 0)
        if room <= 0:
            room = self._room[action.id] = WAITING_RERUNS - await self._store.waiting_reruns(action.id)
        return room

    async def _wait(self, action: BulkAction, why: str) -> None:
        """Let the action pause, longer each time, and record why."""
        before = self._pauses.get(action.id)
        seconds = RETRY_SECONDS if before is None else min(2 * before.seconds, LONGEST_RETRY_SECONDS)
        if why == _QUEUE_FULL:
            seconds = RETRY_SECONDS  # checking is cheap, and the queue should not run empty
        self._pauses[action.id] = _Pause(self._clock.monotonic() + seconds, seconds)
        if action.waiting != why:
            await self._store.note_bulk_waiting(action.id, why)


class _Pause:
    """Until when an action pauses, in monotonic seconds, and for how long it was put off last."""

    __slots__ = ("seconds", "until")

    def __init__(self, until: float, seconds: float = RETRY_SECONDS / 2) -> None:
        self.until = until
        self.seconds = seconds


def _failed(item: TakenItem, error: HalleyError) -> ItemResult:
    return ItemResult(position=item.position, outcome=BulkOutcome.FAILED, reason=_text(error, [item]))


def _text(error: HalleyError, items: Sequence[TakenItem]) -> str:
    """The message without ids, so that equal reasons have equal texts."""
    text = " ".join(str(error).split())
    for item in items:
        text = text.replace(item.prediction_id, "…")
    return text[:500]
