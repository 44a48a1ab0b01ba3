"""All waiting requests. See the package for how waiting works."""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Final, Protocol

from halley.api.http.asgi import Outcome, Scope
from halley.api.waiting.conditions import Until, urgent_and_last
from halley.api.waiting.hold import EARLY_SECONDS, Hold, HoldGroup, Snapshot, Tell
from halley.api.waiting.revocation import RevocationWatch, refusal
from halley.clock import Clock
from halley.errors import HalleyError, NotFound
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.hints import Changed, Hint
from halley.predictions.records import Prediction
from halley.predictions.service import Predictions

_log: Final = logging.getLogger(__name__)
EVERY: Final = ""  # in place of a prediction's id: woken by changes of all predictions
_AT_ONCE: Final = 50  # answers; then other tasks run
BRIEF_SECONDS: Final = 0.25  # after this time, or twice as long, a brief wait becomes a hold


class BriefWait(Protocol):
    """A create that waits for the end of its prediction since a moment ago, without a hold. Most ends come so soon."""

    def tell_end(self, row: Prediction) -> bool:
        """Answer with the ended prediction; False if it must become a hold for that."""
        ...

    def become_hold(self, *, has_changed: bool) -> None:
        """Enter the hub as a hold; before the commit, right after it, and then, if something changed, read the row.

        It never raises: if that fails, it answers with the error.
        """
        ...


class Hub:
    """All holds, by prediction. `run` must be running, and a poll of the store must call `poll_found`."""

    def __init__(
        self,
        *,
        predictions: Predictions,
        attendance: AbandonmentTracker,
        revocations: RevocationWatch,
        clock: Clock,
        coalesce_seconds: float = 0.5,
    ) -> None:
        """`coalesce_seconds`: the longest delay of logs and progress for holds until NEWS."""
        self.clock = clock
        self.attendance = attendance
        self.revocations = revocations
        self.coalesce_seconds = coalesce_seconds
        self.is_closed = False  # the server stops: no request may wait from now on
        self._predictions = predictions
        self._groups: dict[str, HoldGroup] = {}
        self._brief: dict[str, BriefWait] = {}  # by prediction
        self._aging: tuple[str, ...] | None = None  # those of them that are not quite new; None: nothing ages
        revocations.before_look(self.hold_brief_waits)
        self._tasks: asyncio.TaskGroup | None = None
        self._note_change: Callable[[str], None] | None = None

    def __len__(self) -> int:
        return len(self._brief) + sum(len(group.members) for group in self._groups.values())

    @property
    def parked(self) -> int:
        """How many of them have no task any more."""
        return len(self._brief) + sum(hold.is_deferred for group in self._groups.values() for hold in group.members)

    @property
    def has_holds(self) -> bool:
        return bool(self._groups or self._brief)

    async def run(self) -> None:
        """Read predictions when they change; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def enter(self, prediction_id: str, scope: Scope) -> Hold:
        """Begin to notice changes, before the store is read. Use the hold as a context manager."""
        group = self._groups.get(prediction_id)
        if group is None:
            group = self._groups[prediction_id] = HoldGroup(prediction_id)
        hold = Hold(self, group, scope)
        group.members[hold] = None
        return hold

    def await_end(self, prediction_id: str, wait: BriefWait) -> None:
        """Tell it of the end, or let it become a hold: at any other change, or after a moment. Not more than once."""
        self._brief[prediction_id] = wait
        if self._aging is None:
            self._aging = ()
            asyncio.get_running_loop().call_later(BRIEF_SECONDS, self._age)

    def forget(self, prediction_id: str) -> None:
        """End the brief wait for this prediction. Does nothing if there is none."""
        self._brief.pop(prediction_id, None)

    def hold_brief_waits(self) -> None:
        """From now on all that wait are holds, which have a time limit and a key that may be revoked."""
        waits, self._brief = self._brief, {}
        for wait in waits.values():
            wait.become_hold(has_changed=False)

    def _age(self) -> None:
        for prediction_id in self._aging or ():
            wait = self._brief.pop(prediction_id, None)
            if wait is not None:
                wait.become_hold(has_changed=False)
        if self._brief:
            self._aging = tuple(self._brief)
            asyncio.get_running_loop().call_later(BRIEF_SECONDS, self._age)
        else:
            self._aging = None

    def receive(self, hint: Hint) -> None:
        """Receive a hint from the bus."""
        if type(hint) is Changed:
            self.changed(hint.prediction_id)

    def changed(self, prediction_id: str) -> None:
        """A change of this prediction was committed."""
        wait = self._brief.pop(prediction_id, None)
        if wait is not None:
            row = self._predictions.just_ended(prediction_id)
            if row is None or not wait.tell_end(row):
                wait.become_hold(has_changed=True)
        if self._groups:
            self._wake_changed(prediction_id)
            self._wake_changed(EVERY)
            if self._note_change is not None:
                self._note_change(prediction_id)

    def poll_found(self, changed: Collection[str]) -> None:
        """Receive the result of a poll of the store: predictions that may have changed, even without a hint."""
        for prediction_id in (self._groups.keys() | self._brief.keys()).intersection(changed):
            self.changed(prediction_id)
        if changed:
            self._wake_changed(EVERY)
        if self._note_change is not None:
            for prediction_id in changed:
                self._note_change(prediction_id)

    def tell_changes(self, note: Callable[[str], None] | None) -> None:
        """Call this with the id of each prediction that changes, as long as any hold is there; None ends that."""
        self._note_change = note

    def wake_streams(self, name: str) -> None:
        """Wake the streams that entered under this name, which is not a prediction's id."""
        self._wake_changed(name)

    def release_all(self) -> None:
        """The server stops: answer all holds with the present state, and those that are about to wait as well."""
        self.is_closed = True
        self.hold_brief_waits()
        for group in tuple(self._groups.values()):
            for hold in tuple(group.members):
                hold.release()
            self.wake(group)

    # for holds

    def wake(self, group: HoldGroup) -> None:
        """Read the prediction of this group, as soon as possible."""
        group.wakes += 1
        if not group.is_looking:
            self._assign(group)

    def _assign(self, group: HoldGroup) -> None:
        """Read in a new task, if a hold is parked."""
        if self._tasks is not None and any(hold.give is not None for hold in group.members):
            group.is_looking = True
            self._tasks.create_task(self._look(group))

    async def _look(self, group: HoldGroup) -> None:
        """Read the prediction once and answer all holds that are ready."""
        group.is_looking = True
        wakes = group.wakes
        try:
            await self._answer(group)
            group.seen = wakes
        finally:
            group.is_looking = False
            if group.seen != wakes or group.wakes != wakes:
                self._assign(group)

    def take_over(self, hold: Hold) -> None:
        """Its own task has ended: from now on the hub answers it."""
        if hold.carrier is not None:
            self.revocations.add(hold, *hold.carrier)
        if hold.wakes != hold.group.wakes or hold.is_over:
            self.wake(hold.group)
        self._wind(hold)

    def end_with_key(self, hold: Hold) -> None:
        """End it when its key becomes invalid, if it has one."""
        if hold.carrier is not None:
            self.revocations.add(hold, *hold.carrier)

    def timer_expired(self, hold: Hold) -> None:
        """The timer of a parked hold has expired."""
        now = self.clock.monotonic()
        if now < hold.due_at - EARLY_SECONDS:
            self._wind(hold)
            if not hold.has_unseen or now < hold.coalesced_until - EARLY_SECONDS:
                return
        self.wake(hold.group)

    def left(self, hold: Hold) -> None:
        """It has been answered, or its client has disconnected. Does nothing if repeated."""
        group = hold.group
        if hold not in group.members:
            return
        del group.members[hold]
        group.lose(hold)
        if hold.is_counted:
            self.attendance.depart(group.prediction_id, is_told=not hold.is_gone)
        if hold.carrier is not None:
            self.revocations.discard(hold, hold.carrier[0])
        hold.stop_timer()
        if not group.members and self._groups.get(group.prediction_id) is group:
            del self._groups[group.prediction_id]

    def _wind(self, hold: Hold) -> None:
        now = self.clock.monotonic()
        is_coalescing = hold.until is Until.NEWS and now < hold.coalesced_until < hold.due_at
        if hold.timer is not None:
            hold.stop_timer()
        hold.set_timer(hold.coalesced_until if is_coalescing else hold.due_at, now)

    def _wake_changed(self, prediction_id: str) -> None:
        group = self._groups.get(prediction_id)
        if group is not None:
            group.changes += 1
            group.wake_readers()
            has_only_readers = len(group.readers) == len(group.members)
            if not has_only_readers and not self._tell_end(group):
                self.wake(group)

    def _tell_end(self, group: HoldGroup) -> bool:
        """If it ended a moment ago and its row is in memory, answer without a read. False: a read is needed."""
        if group.is_looking or len(group.members) > _AT_ONCE:
            return False
        row = self._predictions.just_ended(group.prediction_id)
        if row is None:
            return False
        for hold in tuple(group.members):
            give, tell_end = hold.give, hold.tell_end
            if give is None or tell_end is None or hold.is_revoked:
                continue
            answer = tell_end(row)
            if answer is not None:
                self.left(hold)
                give(answer)
        return not group.members

    # looking

    async def _answer(self, group: HoldGroup) -> None:
        try:
            found, ready = await self._find(group)
        except Exception as error:  # noqa: BLE001  # each hold gets an answer: an error, or the state it knew before
            found, ready = error, _waiting(group)
            if ready and not isinstance(error, HalleyError):
                _log.error(
                    "prediction %s cannot be read for %d requests", group.prediction_id, len(ready), exc_info=error
                )
        for number, hold in enumerate(ready, 1):
            if hold in group.members:
                self.left(hold)
                answer = await _outcome(hold.tell, refusal() if hold.is_revoked else found)
                if hold.give is not None:  # else its client has left meanwhile
                    hold.give(answer)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _find(self, group: HoldGroup) -> tuple[Snapshot | Exception, list[Hold]]:
        row = await self._predictions.find(group.prediction_id)
        if row is None:
            raise NotFound(f"There is no prediction {group.prediction_id}")
        waiting = _waiting(group)
        if row.is_terminal:
            return Snapshot(*await self._predictions.filled_to(row)), waiting
        if any(hold.until is Until.NEWS for hold in waiting):
            await self._note_events(group, row, waiting)
        now = self.clock.monotonic()
        ready = [hold for hold in waiting if hold.is_ready(row, group.urgent_seq, now)]
        return (Snapshot(*await self._predictions.filled_to(row)) if ready else Snapshot(row, 0)), ready

    async def _note_events(self, group: HoldGroup, row: Prediction, waiting: list[Hold]) -> None:
        """Find out whether an urgent event has come, and for each hold until NEWS whether any has."""
        first = min(hold.seq for hold in waiting if hold.until is Until.NEWS)
        after = group.last_seq if first >= group.first_seq else first
        group.first_seq = min(group.first_seq, first)
        urgent, last = await urgent_and_last(self._predictions, row, after)
        group.last_seq, group.urgent_seq = last, max(group.urgent_seq, urgent)
        for hold in waiting:
            hold.has_unseen = hold.has_unseen or last > hold.seq


def _waiting(group: HoldGroup) -> list[Hold]:
    """The holds that can be answered now: not those that are about to wait, and no streams."""
    return [hold for hold in group.members if hold.give is not None]


async def _outcome(tell: Tell, found: Snapshot | Exception) -> Outcome:
    try:
        return await tell(found)
    except Exception as error:  # noqa: BLE001  # it becomes the answer of this hold
        # raised for each of thousands of requests: a shared traceback would grow each time
        return error.with_traceback(None) if error is found else error
