"""The queue: sessions, claims and reports of lease holders. First half of `WorkQueue` in SQL."""

import sqlite3
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from halley.clock import to_micros
from halley.errors import HalleyError, LeaseLost, WrongState
from halley.predictions.queue import MOST_BEFORE, Appended, Claimed, Finished, Lease, Reaped, Returned
from halley.predictions.records import NewEvent, Prediction
from halley.predictions.status import OUTPUT_KINDS, EventKind, Fact
from halley.store.sqlite import changes
from halley.store.sqlite.changes import DELETE_FROM_QUEUE, LeaseGuard
from halley.store.sqlite.claims import claim, no_session
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.rows import select_live

_PUT_SESSION: Final = (
    "INSERT INTO sessions (id, expires_at, offers) VALUES (?1, ?2, coalesce(?3, '[]'))"
    " ON CONFLICT (id) DO UPDATE SET expires_at = ?2, offers = coalesce(?3, offers)"
)
_OFFERS: Final = "SELECT offers FROM sessions WHERE id IS NOT ?"
_ENDED_LEASES: Final = "SELECT prediction_id, session_id, fence, attempt FROM queue WHERE session_id = ? AND is_ended"
_REQUEUE_ALONE: Final = "UPDATE queue SET session_id = NULL, ready_at = ?, alone = 1 WHERE prediction_id = ?"
_SHOW_INPUT: Final = "UPDATE predictions SET input = ?, revision = revision + 1 WHERE number = ?"
_WAITING_BEFORE: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM queue WHERE version = ? AND account_id = ? AND session_id IS NULL"
    " AND (priority > ? OR (priority = ? AND prediction_id < ?)) LIMIT ?)"
)
_MODEL_WAITED_FOR: Final = (
    "SELECT p.model FROM queue AS q JOIN predictions AS p ON p.id = q.prediction_id"
    " WHERE q.version = ? AND q.session_id IS NULL LIMIT 1"
)


class QueueRows(SqlitePart):
    """Implements the part of `predictions.queue.WorkQueue` that holders of leases use."""

    def open_session(
        self, session_id: str, at: datetime, lease_seconds: float, *, offers: Collection[str] = ()
    ) -> Awaitable[None]:
        return self._writer.submit(_open_session, self._counters, session_id, at, lease_seconds, _offers(offers))

    def renew(
        self, session_id: str, at: datetime, lease_seconds: float, *, offers: Collection[str] | None = None
    ) -> Awaitable[list[Lease]]:
        new = None if offers is None else _offers(offers)
        return self._writer.submit(_renew, self._counters, session_id, at, lease_seconds, new)

    def claim(
        self, session_id: str, credits: Mapping[str, int], at: datetime, *, but_of: frozenset[str] = frozenset()
    ) -> Awaitable[list[Claimed]]:
        def give_back(claimed: list[Claimed]) -> None:
            for item in claimed:
                self.release(item.lease, at)

        return self._writer.submit(claim, self._counters, session_id, dict(credits), at, but_of, orphaned=give_back)

    def append_events(self, lease: Lease, events: Sequence[NewEvent]) -> Awaitable[Appended]:
        def learn(appended: Appended) -> None:
            if appended.is_terminal:
                self._recent.forget(lease.prediction_id)

        return self._writer.submit(_append, self._counters, self._guard, lease, tuple(events), committed=learn)

    def show_input(self, lease: Lease, shown: bytes) -> Awaitable[None]:
        return self._writer.submit(_show_input, self._guard, lease, shown)

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
    ) -> Awaitable[Finished]:
        return self._writer.submit(
            finish_one,
            self._counters,
            self._guard,
            lease,
            changes.Conclusion(fact, at, tuple(events), error, reason, predict_time),
            committed=self._learn,
        )

    def finish_returned(self, lease: Lease, returned: Returned, told: Callable[[Finished | Exception], None]) -> None:
        self._writer.submit_and_tell(
            finish_one, self._counters, self._guard, lease, returned, told=told, committed=self._learn
        )

    def _learn(self, finished: Finished) -> None:
        self._recent.put(finished.prediction)

    def run_again_alone(
        self, lease: Lease, at: datetime, *, events: Sequence[NewEvent] = (), mark: str
    ) -> Awaitable[Reaped]:
        return self._writer.submit(_run_again_alone, self._counters, self._guard, lease, at, tuple(events), mark)

    def release(self, lease: Lease, at: datetime, *, backoff_seconds: float = 0.0) -> Awaitable[None]:
        return self._writer.submit(release, self._counters, lease, at, backoff_seconds)

    async def offered(self, *, but_of: str | None = None) -> frozenset[str]:
        rows = self._reads.all(_OFFERS, but_of)
        return frozenset(version for (offers,) in rows for version in msgspec.json.decode(offers))

    async def waiting(self) -> Mapping[str, int]:
        return await self._writer.submit(_count_waiting, self._counters)

    def waiting_before(self, row: Prediction) -> int:
        place = (row.version, row.account_id, row.priority, row.priority, row.id)
        found = self._reads.one(_WAITING_BEFORE, *place, MOST_BEFORE)
        return 0 if found is None else int(found[0])

    async def model_waited_for(self, version: str) -> str | None:
        row = self._reads.one(_MODEL_WAITED_FOR, version)
        return None if row is None else str(row[0])


def _end_of(counters: QueueCounters, at: datetime, seconds: float) -> int:
    return to_micros(counters.clock.current(at) + timedelta(seconds=seconds))


def _offers(versions: Collection[str]) -> bytes:
    return msgspec.json.encode(sorted(versions))


def _open_session(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    session_id: str,
    at: datetime,
    lease_seconds: float,
    offers: bytes | None,
) -> None:
    expires_at = _end_of(counters, at, lease_seconds)
    connection.execute(_PUT_SESSION, (session_id, expires_at, offers))
    counters.sessions[session_id] = expires_at


def _renew(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    session_id: str,
    at: datetime,
    lease_seconds: float,
    offers: bytes | None,
) -> list[Lease] | HalleyError:
    if session_id not in counters.sessions:
        return no_session(session_id)
    _open_session(connection, counters, session_id, at, lease_seconds, offers)
    rows = connection.execute(_ENDED_LEASES, (session_id,)).fetchall()
    return [Lease(prediction_id=row[0], session_id=row[1], fence=row[2], attempt=row[3]) for row in rows]


def _append(
    connection: sqlite3.Connection, counters: QueueCounters, guard: LeaseGuard, lease: Lease, events: Sequence[NewEvent]
) -> Appended | HalleyError:
    known = counters.known.take(connection, lease.prediction_id)
    live = known or select_live(connection, lease.prediction_id, with_input=False)
    if live is None or not guard.holds(live, lease):
        return _lost(lease)
    if live.prediction.is_terminal:
        changes.add_late_logs(connection, live, events)
        return Appended(revision=live.prediction.revision, is_terminal=True)
    changes.note_start(live, events)
    live.prediction = msgspec.structs.replace(
        live.prediction, revision=live.prediction.revision + 1, fence=lease.fence, attempts=lease.attempt
    )
    changes.record(connection, counters, live, events)
    if known is not None:  # the known row has no input
        counters.known.keep(known)
    return Appended(revision=live.prediction.revision, is_terminal=False)


def _show_input(connection: sqlite3.Connection, guard: LeaseGuard, lease: Lease, shown: bytes) -> HalleyError | None:
    live = select_live(connection, lease.prediction_id)
    if live is None or not guard.holds(live, lease):
        return _lost(lease)
    if not live.prediction.is_terminal:
        connection.execute(_SHOW_INPUT, (shown, live.number))
    return None


def finish_one(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    guard: LeaseGuard,
    lease: Lease,
    how: changes.Conclusion | Returned,
) -> Finished | HalleyError:
    """See WorkQueue.finish and WorkQueue.finish_returned."""
    conclusion = changes.conclusion_of(how) if isinstance(how, Returned) else how
    try:
        known = counters.known.held_by(lease)
        if known is not None and (ended := changes.end_unchanged(connection, counters, known, conclusion)) is not None:
            connection.execute(DELETE_FROM_QUEUE, (lease.prediction_id,))
            return Finished(prediction=ended, applied=True)
        return _finish_read(connection, counters, guard, lease, conclusion)
    except WrongState as refusal:  # decided before anything was written
        return refusal


def _finish_read(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    guard: LeaseGuard,
    lease: Lease,
    conclusion: changes.Conclusion,
) -> Finished | HalleyError:
    live = select_live(connection, lease.prediction_id)
    if live is None:
        return _lost(lease)
    if not guard.holds(live, lease):
        if live.fence is None and live.prediction.is_terminal:
            return Finished(prediction=live.prediction, applied=False)  # finished before: a repeat
        return _lost(lease)
    if live.prediction.is_terminal:
        changes.add_late_logs(connection, live, conclusion.events)
        connection.execute(DELETE_FROM_QUEUE, (lease.prediction_id,))
        return Finished(prediction=live.prediction, applied=False)
    ended = changes.end(connection, counters, live, conclusion)
    connection.execute(DELETE_FROM_QUEUE, (lease.prediction_id,))
    return Finished(prediction=ended, applied=True)


def _run_again_alone(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    guard: LeaseGuard,
    lease: Lease,
    at: datetime,
    events: Sequence[NewEvent],
    mark: str,
) -> Reaped | HalleyError:
    live = select_live(connection, lease.prediction_id)
    if live is None or not guard.holds(live, lease):
        return _lost(lease)
    may_again = not live.prediction.is_terminal and live.prediction.submit_state is None
    has_another = may_again and not changes.is_alone(connection, live)
    if not has_another or changes.read_progress(connection, live).has_output:
        return Reaped(prediction=live.prediction, requeued=False)
    kept = [event for event in events if event.kind not in OUTPUT_KINDS]
    changes.note_start(live, kept)
    lost = NewEvent(kind=EventKind.ATTEMPT_LOST, at=at, data=msgspec.json.encode(mark))
    live.prediction = msgspec.structs.replace(
        live.prediction, revision=live.prediction.revision + 1, fence=lease.fence, attempts=lease.attempt
    )
    changes.record(connection, counters, live, (*kept, lost))
    connection.execute(_REQUEUE_ALONE, (_end_of(counters, at, 0.0), lease.prediction_id))
    counters.add_waiting(live.prediction.version, live.prediction.account_id)
    return Reaped(prediction=live.prediction, requeued=True)


def release(
    connection: sqlite3.Connection, counters: QueueCounters, lease: Lease, at: datetime, backoff_seconds: float
) -> None:
    """See WorkQueue.release."""
    live = select_live(connection, lease.prediction_id)
    if live is None or live.lease is None or live.lease != lease:
        return
    changes.give_back(connection, counters, live, counters.clock.current(at) + timedelta(seconds=backoff_seconds))


def _count_waiting(connection: sqlite3.Connection, counters: QueueCounters) -> Mapping[str, int]:
    del connection  # the counters are current, because the writer has run every earlier write
    return {version: sum(accounts.values()) for version, accounts in counters.waiting.items()}


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(
        f"Session {lease.session_id} with fence {lease.fence} does not hold prediction {lease.prediction_id}."
    )
