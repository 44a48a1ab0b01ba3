"""Leases and the queue, over one dictionary of entries."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from halley.errors import LeaseLost
from halley.models.records import LOCAL
from halley.predictions.duties import Duty
from halley.predictions.lifecycle import TRANSITIONS
from halley.predictions.queue import MOST_BEFORE, Appended, Claimed, Expired, Finished, Lease, Reaped, Returned
from halley.predictions.records import NewEvent, Prediction
from halley.predictions.status import WITH_ERROR, EventKind, Fact
from halley.predictions.submits import ADOPTION_SECONDS, Recorded
from halley.store.memory.bulk import MemoryBulk
from halley.store.memory.clock import MemoryClock
from halley.store.memory.duties import MemoryDuties
from halley.store.memory.entries import Entry, QueueEntry, at_once, tell
from halley.store.memory.submits import MemorySubmits
from halley.store.memory.tables import MemoryTables


class MemoryQueue(MemoryDuties, MemorySubmits, MemoryBulk):
    """Implements `predictions.queue.MaintainedQueue`."""

    def __init__(self, tables: MemoryTables) -> None:
        super().__init__(tables)
        self._sessions = tables.sessions
        self._offers = tables.offers
        self._submits = tables.submits

    @at_once
    def open_session(
        self, session_id: str, at: datetime, lease_seconds: float, *, offers: Collection[str] = ()
    ) -> None:
        self._sessions[session_id] = self._clock.look(at) + timedelta(seconds=lease_seconds)
        self._offers[session_id] = frozenset(offers)

    @at_once
    def renew(
        self, session_id: str, at: datetime, lease_seconds: float, *, offers: Collection[str] | None = None
    ) -> list[Lease]:
        at = self._clock.look(at)
        self._check_session(session_id)
        if offers is not None:
            self._offers[session_id] = frozenset(offers)
        self._sessions[session_id] = at + timedelta(seconds=lease_seconds)
        held = [entry for entry in self._entries.values() if entry.prediction.is_terminal]
        return [lease for entry in held if (lease := entry.lease) is not None and lease.session_id == session_id]

    @at_once
    def claim(
        self, session_id: str, credits: Mapping[str, int], at: datetime, *, but_of: frozenset[str] = frozenset()
    ) -> list[Claimed]:
        at = self._clock.look(at)
        self._check_session(session_id)
        claimed: list[Claimed] = []
        for version, most in credits.items():
            for _ in range(most):
                lines = {name: line for name, line in self._lines(version, at).items() if name not in but_of}
                if not lines:
                    break
                account_id = min(lines, key=lambda name: (self._turn_of(version, name), name))
                entry = min(lines[account_id], key=lambda entry: (-entry.prediction.priority, entry.prediction.id))
                self._take_turn(entry.prediction)
                recorded = self._recorded(entry.prediction, entry.events)
                claimed.append(_claimed(entry, session_id, self._clock, recorded))
        return claimed

    @at_once
    def append_events(self, lease: Lease, events: Sequence[NewEvent]) -> Appended:
        entry = self._held(lease)
        if not entry.prediction.is_terminal:
            entry.say(events, self._log)
            return Appended(revision=entry.prediction.revision, is_terminal=False)
        entry.add_late_logs(events)
        return Appended(revision=entry.prediction.revision, is_terminal=True)

    @at_once
    def show_input(self, lease: Lease, shown: bytes) -> None:
        entry = self._held(lease)
        row = entry.prediction
        if not row.is_terminal:
            entry.change(msgspec.structs.replace(row, input=shown, revision=row.revision + 1))

    @at_once
    def finish(
        self,
        lease: Lease,
        fact: Fact,
        at: datetime,
        *,
        events: Sequence[NewEvent] = (),
        error: str | None = None,
        reason: str | None = None,
        predict_time: float | None = None,
    ) -> Finished:
        known = self._entries.get(lease.prediction_id)
        if known is not None and known.place is None:
            return Finished(prediction=known.prediction, applied=False)
        entry = self._held(lease)
        applied = not entry.prediction.is_terminal
        if applied:
            entry.end(fact, at, self._log, events=events, error=error, reason=reason, predict_time=predict_time)
        else:
            entry.add_late_logs(events)
        entry.place = None
        return Finished(prediction=entry.prediction, applied=applied)

    def finish_returned(self, lease: Lease, returned: Returned, told: Callable[[Finished | Exception], None]) -> None:
        events, predict_time = returned.events(), returned.predict_time
        tell(self.finish(lease, Fact.SUCCEEDED, returned.at, events=events, predict_time=predict_time), told)

    @at_once
    def run_again_alone(self, lease: Lease, at: datetime, *, events: Sequence[NewEvent] = (), mark: str) -> Reaped:
        at = self._clock.look(at)
        entry = self._held(lease)
        return Reaped(requeued=entry.run_again_alone(at, events, mark, self._log), prediction=entry.prediction)

    @at_once
    def release(self, lease: Lease, at: datetime, *, backoff_seconds: float = 0.0) -> None:
        at = self._clock.look(at)
        entry = self._entries.get(lease.prediction_id)
        if entry is None or entry.place is None or entry.lease != lease:
            return
        entry.give_back(entry.place, at + timedelta(seconds=backoff_seconds))

    @at_once
    def reap(self, duty: Duty, at: datetime, *, all_but: str | None = None, max_attempts: int = 2) -> list[Reaped]:
        at = self._clock.look(at)
        self._check_duty(duty)
        if all_but is None:
            lost = {name for name, expires_at in self._sessions.items() if expires_at <= at}
        else:
            self._clock.bring_near(at)
            lost = {*self._sessions, *(e.place.holder for e in self._entries.values() if e.place and e.place.holder)}
            lost.discard(all_but)
        reaped: list[Reaped] = []
        for entry in self._entries.values():
            place = entry.place
            if place is None or place.holder not in lost:
                continue
            if entry.prediction.is_terminal:
                entry.give_back(place, at)
            else:
                reaped.append(self._take_back(entry, place, at, max_attempts))
        for name in lost:
            self._sessions.pop(name, None)
            self._offers.pop(name, None)
        return reaped

    @at_once
    def expire(self, duty: Duty, at: datetime, max_queue_seconds: float) -> list[Expired]:
        at = self._clock.look(at)
        self._check_duty(duty)
        bound = self._clock.older_than(max_queue_seconds)
        since = at - timedelta(seconds=ADOPTION_SECONDS)
        expired: list[Expired] = []
        for entry in list(self._entries.values()):
            row = entry.prediction
            has_waited = entry.has_waited(bound, since)
            if row.is_terminal:
                if has_waited:
                    entry.place = None
                continue
            if row.deadline_at is not None and row.deadline_at <= at:
                expired.append(self._expire(entry, Fact.DEADLINE_PASSED, at, ""))
            elif has_waited:
                error = f"Nothing could run this prediction within {max_queue_seconds:g} s (runs.max_queue_seconds)."
                expired.append(self._expire(entry, Fact.QUEUE_TIME_PASSED, at, error))
        return expired

    @at_once
    def fail_waiting(self, duty: Duty, version: str, at: datetime, error: str, reason: str) -> list[Prediction]:
        self._check_duty(duty)
        failed: list[Prediction] = []
        for line in self._lines(version).values():
            for entry in line:
                if entry.prediction.is_terminal:
                    entry.place = None
                else:
                    failed.append(entry.fail_waiting(at, self._log, error, reason))
        return failed

    async def offered(self, *, but_of: str | None = None) -> frozenset[str]:
        return frozenset().union(*(offers for name, offers in self._offers.items() if name != but_of))

    async def waiting(self) -> Mapping[str, int]:
        return Counter(entry.prediction.version for entry in self._entries.values() if entry.waits)

    def waiting_before(self, row: Prediction) -> int:
        line = self._lines(row.version).get(row.account_id, [])
        place = (-row.priority, row.id)
        before = sum((-entry.prediction.priority, entry.prediction.id) < place for entry in line)
        return min(before, MOST_BEFORE)

    async def model_waited_for(self, version: str) -> str | None:
        waiting = (entry.prediction for entry in self._entries.values() if entry.waits)
        return next((row.model for row in waiting if row.version == version), None)

    def _check_session(self, session_id: str) -> None:
        if session_id not in self._sessions:
            raise LeaseLost(f"The session {session_id} is not open.")

    def _predictions(self) -> list[Prediction]:
        return [entry.prediction for entry in self._entries.values()]

    def _held(self, lease: Lease) -> Entry:
        entry = self._entries.get(lease.prediction_id)
        held = None if entry is None else entry.lease
        if entry is None or held is None or (held.session_id, held.fence) != (lease.session_id, lease.fence):
            raise LeaseLost(f"Session {lease.session_id} does not hold {lease.prediction_id} with {lease.fence}.")
        return entry

    def _take_back(self, entry: Entry, place: QueueEntry, at: datetime, max_attempts: int) -> Reaped:
        if entry.prediction.submit_state is not None:
            return Reaped(requeued=entry.take_back_to_adopt(place, at, self._log), prediction=entry.prediction)
        has_output, ready_at = entry.progress.has_output, at + timedelta(seconds=place.attempt)
        version = self.tables.versions.get(entry.prediction.version)
        if not has_output and version is not None and version.provider != LOCAL:
            entry.give_back(place, ready_at)
            return Reaped(prediction=entry.prediction, requeued=True)
        if has_output or place.attempt >= max_attempts + place.alone:
            error = "The worker that ran this prediction was lost, and it is not run again."
            entry.end(Fact.FAILED, at, self._log, error=error, reason="worker_lost")
            entry.place = None
            return Reaped(prediction=entry.prediction, requeued=False)
        mark = f"\n[halley] the server stopped while this ran; attempt {place.attempt + 1} begins\n"
        entry.say([NewEvent(kind=EventKind.ATTEMPT_LOST, at=at, data=msgspec.json.encode(mark))], self._log)
        place.holder = None
        place.ready_at = ready_at
        return Reaped(prediction=entry.prediction, requeued=True)

    def _expire(self, entry: Entry, fact: Fact, at: datetime, error: str) -> Expired:
        was_leased = entry.lease is not None
        if fact is Fact.QUEUE_TIME_PASSED and entry.prediction.submit_state is not None:
            return Expired(prediction=entry.fail_waiting(at, self._log, error, "queue_time"), was_leased=was_leased)
        has_error = TRANSITIONS[entry.prediction.status, fact] in WITH_ERROR
        entry.end(fact, at, self._log, error=error if has_error else None)
        self._leave(entry)
        return Expired(prediction=entry.prediction, was_leased=was_leased)


def _claimed(entry: Entry, session_id: str, clock: MemoryClock, recorded: Recorded | None) -> Claimed:
    place = entry.place
    if place is None:
        raise AssertionError("only what waits is claimed")
    place.holder = session_id
    place.fence += 1
    place.attempt += 1
    lease = entry.lease
    if lease is None:
        raise AssertionError("it was leased one line above")
    row = msgspec.structs.replace(entry.prediction, fence=place.fence, attempts=place.attempt)
    work_input = row.input if place.work_input is None else place.work_input
    return Claimed(
        lease=lease,
        prediction=row,
        work_input=work_input,
        context=place.context,
        alone=place.alone,
        recorded=recorded,
        waited_seconds=clock.age(row.id, row.created_at),
    )
