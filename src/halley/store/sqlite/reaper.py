"""Ends that no holder reports: lost sessions, deadlines, versions that cannot run. Second half of `WorkQueue` in SQL.

Each of these may concern the whole queue, so they work in portions: one transaction each, with other writes between.
"""

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from halley.clock import to_micros
from halley.models.records import LOCAL
from halley.predictions.duties import Duty
from halley.predictions.lifecycle import TRANSITIONS
from halley.predictions.queue import Expired, Reaped
from halley.predictions.records import NewEvent, Prediction
from halley.predictions.status import WITH_ERROR, EventKind, Fact, SubmitState
from halley.predictions.submits import ADOPTION_SECONDS, UNKNOWN_ERROR, UNKNOWN_REASON
from halley.store.sqlite import changes
from halley.store.sqlite.changes import DELETE_FROM_QUEUE
from halley.store.sqlite.clock import bring_near
from halley.store.sqlite.duties import if_on_duty
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.rows import Live, select_live
from halley.store.sqlite.submits import put_state

T = TypeVar("T")

PORTION: Final = 200
_BACKOFF_SECONDS: Final = 1.0  # times the attempts so far

_LEASED_BY: Final = "SELECT prediction_id FROM queue WHERE session_id = ? LIMIT ?"
_LEASED_BY_OTHERS: Final = "SELECT DISTINCT session_id FROM queue WHERE session_id IS NOT NULL AND session_id != ?"
_REQUEUE: Final = "UPDATE queue SET session_id = NULL, ready_at = ? WHERE prediction_id = ?"
_PAST_DEADLINE: Final = (
    "SELECT id FROM predictions WHERE deadline_at IS NOT NULL AND completed_at IS NULL AND deadline_at <= ?"
    " ORDER BY deadline_at LIMIT ?"
)
# a prediction with an upstream run has not waited since its creation
_WAITING_SINCE_BEFORE: Final = (
    "SELECT q.prediction_id FROM queue AS q WHERE q.prediction_id < ?1 AND q.session_id IS NULL AND (q.ready_at <= ?2"
    " OR NOT EXISTS (SELECT 1 FROM predictions AS p WHERE p.id = q.prediction_id AND p.submit_state IS NOT NULL))"
    " ORDER BY q.prediction_id LIMIT ?3"
)
_RUNS_ELSEWHERE: Final = "SELECT EXISTS (SELECT 1 FROM versions WHERE id = ? AND provider != ?)"
_WAITING_FOR: Final = "SELECT prediction_id FROM queue WHERE version = ? AND session_id IS NULL LIMIT ?"


class Reaper(SqlitePart):
    """Implements the part of `predictions.queue.WorkQueue` that ends predictions whose holder is lost or which have
    none.
    """

    async def reap(
        self, duty: Duty, at: datetime, *, all_but: str | None = None, max_attempts: int = 2
    ) -> list[Reaped]:
        if all_but is not None:
            await self._in_portions(duty, _bring_near, at)
        return await self._in_portions(duty, _reap, at, all_but, max_attempts)

    async def expire(self, duty: Duty, at: datetime, max_queue_seconds: float) -> list[Expired]:
        return [
            *await self._in_portions(duty, _expire_deadlines, at),
            *await self._in_portions(duty, _expire_queued, at, max_queue_seconds),
        ]

    async def fail_waiting(self, duty: Duty, version: str, at: datetime, error: str, reason: str) -> list[Prediction]:
        return await self._in_portions(duty, _fail_waiting, version, at, error, reason)

    async def _in_portions(self, duty: Duty, operation: Callable[..., tuple[list[T], bool]], *args: Any) -> list[T]:
        """Repeat the operation until nothing is left, or the duty is lost."""
        done: list[T] = []
        more = True
        while more:
            some, more = await self._writer.submit(if_on_duty, self._counters, duty, operation, (self._counters, *args))
            done += some
        return done


def _bring_near(connection: sqlite3.Connection, counters: QueueCounters, at: datetime) -> tuple[list[Reaped], bool]:
    bring_near(connection, counters.clock.current(at))
    return [], False


def _reap(
    connection: sqlite3.Connection, counters: QueueCounters, at: datetime, all_but: str | None, max_attempts: int
) -> tuple[list[Reaped], bool]:
    at = counters.clock.current(at)
    now = to_micros(at)
    if all_but is None:
        lost = [session for session, expires_at in counters.sessions.items() if expires_at <= now]
    else:
        lost = [session for session in counters.sessions if session != all_but]
        lost += [
            s for (s,) in connection.execute(_LEASED_BY_OTHERS, (all_but,)).fetchall() if s not in counters.sessions
        ]
    reaped: list[Reaped] = []
    for session in lost:
        held = connection.execute(_LEASED_BY, (session, PORTION)).fetchall()
        for (prediction_id,) in held:
            live = select_live(connection, prediction_id)
            if live is None:
                connection.execute(DELETE_FROM_QUEUE, (prediction_id,))
            elif live.prediction.is_terminal:
                changes.give_back(connection, counters, live, at)
            else:
                reaped.append(_take_back(connection, counters, live, at, max_attempts))
        if len(held) == PORTION:
            return reaped, True
        connection.execute("DELETE FROM sessions WHERE id = ?", (session,))
        counters.sessions.pop(session, None)
    return reaped, False


def _take_back(
    connection: sqlite3.Connection, counters: QueueCounters, live: Live, at: datetime, max_attempts: int
) -> Reaped:
    if live.prediction.submit_state is not None:
        return _to_adopt(connection, counters, live, at)
    has_output = changes.read_progress(connection, live).has_output
    ready_at = at + timedelta(seconds=_BACKOFF_SECONDS * live.attempt)
    if not has_output and connection.execute(_RUNS_ELSEWHERE, (live.prediction.version, LOCAL)).fetchone()[0]:
        # nothing was begun there, and its model did not end our process
        changes.give_back(connection, counters, live, ready_at)
        return Reaped(prediction=live.prediction, requeued=True)
    # one attempt was lost together with other runs, not with the server
    max_attempts += changes.is_alone(connection, live)
    if has_output or live.attempt >= max_attempts:
        why = "it had published output already" if has_output else f"that was attempt {live.attempt} of {max_attempts}"
        error = f"The worker that ran this prediction was lost, and it is not run again: {why}."
        ended = changes.end(
            connection, counters, live, changes.Conclusion(Fact.FAILED, at, error=error, reason="worker_lost")
        )
        connection.execute(DELETE_FROM_QUEUE, (ended.id,))
        return Reaped(prediction=ended, requeued=False)
    mark = f"\n[halley] the server stopped while this ran; attempt {live.attempt + 1} begins\n"
    lost = NewEvent(kind=EventKind.ATTEMPT_LOST, at=at, data=msgspec.json.encode(mark))
    live.prediction = msgspec.structs.replace(
        live.prediction, revision=live.prediction.revision + 1, attempts=live.attempt, fence=live.fence or 0
    )
    changes.record(connection, counters, live, (lost,))
    connection.execute(_REQUEUE, (to_micros(ready_at), live.prediction.id))
    counters.add_waiting(live.prediction.version, live.prediction.account_id)
    return Reaped(prediction=live.prediction, requeued=True)


def _to_adopt(connection: sqlite3.Connection, counters: QueueCounters, live: Live, at: datetime) -> Reaped:
    """It may run elsewhere: no new attempt begins."""
    prediction = live.prediction
    if prediction.submit_state is SubmitState.UNKNOWN:
        ended = changes.end(
            connection, counters, live, changes.Conclusion(Fact.FAILED, at, error=UNKNOWN_ERROR, reason=UNKNOWN_REASON)
        )
        connection.execute(DELETE_FROM_QUEUE, (ended.id,))
        return Reaped(prediction=ended, requeued=False)
    changes.give_back(connection, counters, live, at)
    return Reaped(prediction=prediction, requeued=True)


def _expire_deadlines(
    connection: sqlite3.Connection, counters: QueueCounters, at: datetime
) -> tuple[list[Expired], bool]:
    at = counters.clock.current(at)
    found = connection.execute(_PAST_DEADLINE, (to_micros(at), PORTION)).fetchall()
    return _expire(connection, counters, found, Fact.DEADLINE_PASSED, at, None), len(found) == PORTION


def _expire_queued(
    connection: sqlite3.Connection, counters: QueueCounters, at: datetime, max_queue_seconds: float
) -> tuple[list[Expired], bool]:
    # ids are ordered by time, so the longest waiting are first in the queue, and no index of times is needed
    bound = counters.clock.older_than(max_queue_seconds)
    ready_at = to_micros(counters.clock.current(at) - timedelta(seconds=ADOPTION_SECONDS))
    found = connection.execute(_WAITING_SINCE_BEFORE, (bound, ready_at, PORTION)).fetchall()
    error = f"Nothing could run this prediction within {max_queue_seconds:g} s (runs.max_queue_seconds)."
    return _expire(connection, counters, found, Fact.QUEUE_TIME_PASSED, at, error), len(found) == PORTION


def _expire(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    found: list[Any],
    fact: Fact,
    at: datetime,
    error: str | None,
) -> list[Expired]:
    expired: list[Expired] = []
    for (prediction_id,) in found:
        live = select_live(connection, prediction_id)
        if live is None:  # only if the file was edited by hand
            connection.execute(DELETE_FROM_QUEUE, (prediction_id,))
            counters.reload(connection)
            continue
        if live.prediction.is_terminal:
            changes.drop(connection, counters, live)
            continue
        if fact is Fact.QUEUE_TIME_PASSED and live.prediction.submit_state is not None:
            ended = _fail(connection, counters, live, at, UNKNOWN_ERROR, UNKNOWN_REASON)
            expired.append(Expired(prediction=ended, was_leased=False))
            continue
        has_error = TRANSITIONS[live.prediction.status, fact] in WITH_ERROR
        ended = changes.end(
            connection, counters, live, changes.Conclusion(fact, at, error=error if has_error else None)
        )
        changes.leave_queue(connection, counters, live)
        expired.append(Expired(prediction=ended, was_leased=live.session_id is not None))
    return expired


def _fail_waiting(
    connection: sqlite3.Connection, counters: QueueCounters, version: str, at: datetime, error: str, reason: str
) -> tuple[list[Prediction], bool]:
    found = connection.execute(_WAITING_FOR, (version, PORTION)).fetchall()
    failed: list[Prediction] = []
    for (prediction_id,) in found:
        live = select_live(connection, prediction_id)
        if live is None:  # only if the file was changed by hand
            connection.execute(DELETE_FROM_QUEUE, (prediction_id,))
            counters.reload(connection)
        elif live.prediction.is_terminal:
            changes.drop(connection, counters, live)
        else:
            failed.append(_fail(connection, counters, live, at, error, reason))
    return failed, len(found) == PORTION


def _fail(
    connection: sqlite3.Connection, counters: QueueCounters, live: Live, at: datetime, error: str, reason: str
) -> Prediction:
    if live.prediction.submit_state is not None:
        error, reason = UNKNOWN_ERROR, UNKNOWN_REASON
        live.prediction = msgspec.structs.replace(live.prediction, submit_state=SubmitState.UNKNOWN)
        put_state(connection, live, SubmitState.UNKNOWN, live.prediction.handle)
    ended = changes.end(connection, counters, live, changes.Conclusion(Fact.FAILED, at, error=error, reason=reason))
    changes.leave_queue(connection, counters, live)
    return ended
