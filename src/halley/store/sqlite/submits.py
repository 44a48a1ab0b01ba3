"""The submission of predictions to providers that continue without us: `SubmitLedger` in SQL."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from halley.errors import HalleyError, LeaseLost, WrongState
from halley.predictions.queue import Lease
from halley.predictions.records import Prediction
from halley.predictions.status import SubmitState
from halley.predictions.submits import Recorded, SubmitCount, recorded_in
from halley.store.sqlite.changes import LeaseGuard
from halley.store.sqlite.event_rows import SELECT_EVENTS, events_in
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.rows import OUTLINE_COLUMNS, Live, read_prediction, select_live
from halley.store.sqlite.submit_counts import count_submit, forget_submit, read_counts, read_place, read_seconds

_PUT: Final = "UPDATE predictions SET submit_state = ?, handle = ? WHERE number = ?"
_PUT_PROVIDER: Final = "UPDATE predictions SET provider = ? WHERE number = ?"
# `json_each` takes any number of them in one statement; the index is partial, and contains nothing that ran here
_HELD: Final = "SELECT handle, provider FROM predictions WHERE handle IN (SELECT value FROM json_each(?))"
_UNSETTLED: Final = "NOT EXISTS (SELECT 1 FROM settlements WHERE prediction_id = predictions.id)"
_UNKNOWN: Final = (
    f"SELECT provider, count(*) FROM predictions WHERE submit_state = ? AND {_UNSETTLED} GROUP BY provider"
)
_LIST_UNKNOWN: Final = (
    f"SELECT {OUTLINE_COLUMNS} FROM predictions WHERE submit_state = ?1 AND (?2 OR {_UNSETTLED})"
    " ORDER BY number DESC LIMIT ?3"
)
_EVERY_STATE: Final = frozenset({None, *SubmitState})


class _Intent(NamedTuple):
    """To which provider a prediction is about to be submitted, and how that is counted."""

    provider: str
    counted: SubmitCount | None


class SubmitRows(SqlitePart):
    """Implements `predictions.queue.SubmitLedger`."""

    def record_intent(self, lease: Lease, provider: str, count: SubmitCount | None = None) -> Awaitable[None]:
        return self._put_state(lease, {None}, SubmitState.INTENDED, intent=_Intent(provider, count))

    def record_handle(self, lease: Lease, handle: str) -> Awaitable[None]:
        return self._put_state(lease, {SubmitState.INTENDED, SubmitState.SUBMITTED}, SubmitState.SUBMITTED, handle)

    def withdraw_intent(self, lease: Lease) -> Awaitable[None]:
        return self._put_state(lease, {SubmitState.INTENDED}, None)

    def record_unknown(self, lease: Lease) -> Awaitable[None]:
        return self._put_state(lease, _EVERY_STATE, SubmitState.UNKNOWN)

    async def count_submits(self, at: datetime) -> Mapping[str, int]:
        return read_counts(self._reads, at)

    async def seconds_until_submit(self, provider: str, count: SubmitCount) -> float:
        return read_seconds(self._reads, provider, count)

    async def held_handles(self, handles: Sequence[str], *, provider: str | None = None) -> frozenset[str]:
        rows = self._reads.all(_HELD, msgspec.json.encode(handles).decode())
        return frozenset(handle for handle, held_by in rows if provider in (None, held_by))

    async def count_unknown(self) -> Mapping[str, int]:
        return dict(self._reads.all(_UNKNOWN, SubmitState.UNKNOWN))

    async def list_unknown(self, most: int, *, with_settled: bool = False) -> list[Prediction]:
        rows = self._reads.all(_LIST_UNKNOWN, SubmitState.UNKNOWN, with_settled, most)
        return [read_prediction(row) for row in rows]

    def _put_state(
        self,
        lease: Lease,
        states: Collection[SubmitState | None],
        state: SubmitState | None,
        handle: str | None = None,
        *,
        intent: _Intent | None = None,
    ) -> Awaitable[None]:
        def forget(_: None) -> None:
            self._recent.forget(lease.prediction_id)

        return self._writer.submit(
            _put, self._counters, self._guard, lease, states, state, handle, intent, committed=forget
        )


def _put(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    guard: LeaseGuard,
    lease: Lease,
    states: Collection[SubmitState | None],
    state: SubmitState | None,
    handle: str | None,
    intent: _Intent | None,
) -> HalleyError | None:
    counters.known.forget(lease.prediction_id)  # the revision stays
    live = select_live(connection, lease.prediction_id, with_input=False)
    if live is None or not guard.holds(live, lease):
        return LeaseLost(f"Session {lease.session_id} does not hold prediction {lease.prediction_id} (any more).")
    row = live.prediction
    if row.submit_state not in states or (state is SubmitState.INTENDED and row.is_terminal):
        return WrongState(f"Prediction {row.id} is {row.status} and its submit state {row.submit_state}: not {state}.")
    if state is None:
        forget_submit(connection, row.id)
    elif intent is not None and (count := intent.counted) is not None:
        count = msgspec.structs.replace(count, at=counters.clock.current(count.at))
        if (refused := count_submit(connection, row.id, intent.provider, count)) is not None:
            return refused
    put_state(connection, live, state, row.handle if handle is None else handle)
    if intent is not None and intent.provider != row.provider:
        connection.execute(_PUT_PROVIDER, (intent.provider, live.number))
    return None


def put_state(connection: sqlite3.Connection, live: Live, state: SubmitState | None, handle: str | None) -> None:
    """Write state and handle of a prediction that the transaction may change."""
    connection.execute(_PUT, (state, handle, live.number))


def read_recorded(connection: sqlite3.Connection, prediction_id: str) -> Recorded:
    """How much of its run's progress the stored events contain, and where it was submitted to."""
    with closing(connection.execute(SELECT_EVENTS, (prediction_id, 0, -1))) as rows:
        recorded = recorded_in(events_in(rows))
    place = read_place(connection, prediction_id)
    return msgspec.structs.replace(recorded, place=place) if place else recorded
