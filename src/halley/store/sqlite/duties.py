"""Duties of one process at a time: `DutyStore` in SQL."""

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from halley.clock import to_micros
from halley.errors import DutyLost, HalleyError
from halley.predictions.duties import Duty
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.queue_counters import HeldDuty, QueueCounters

T = TypeVar("T")

_PUT: Final = (
    "INSERT INTO duties (name, session_id, fence, expires_at) VALUES (?1, ?2, ?3, ?4)"
    " ON CONFLICT (name) DO UPDATE SET session_id = ?2, fence = ?3, expires_at = ?4"
)


class DutyRows(SqlitePart):
    """Implements `predictions.duties.DutyStore`."""

    def hold_duty(
        self, name: str, session_id: str, at: datetime, lease_seconds: float, *, alone: bool = False
    ) -> Awaitable[Duty | None]:
        return self._writer.submit(_hold, self._counters, name, session_id, at, lease_seconds, alone)

    def renew_duty(self, duty: Duty, at: datetime, lease_seconds: float) -> Awaitable[None]:
        return self._writer.submit(_renew, self._counters, duty, at, lease_seconds)

    def release_duty(self, duty: Duty) -> Awaitable[None]:
        return self._writer.submit(_release, self._counters, duty)


def _hold(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    name: str,
    session_id: str,
    at: datetime,
    lease_seconds: float,
    alone: bool,
) -> Duty | None:
    at = counters.clock.current(at)
    held = counters.duties.get(name)
    fence = 1 if held is None else held.fence
    if held is not None and held.session_id != session_id:
        if held.session_id is not None and held.expires_at > to_micros(at) and not alone:
            return None
        fence += 1
    _put(connection, counters, name, HeldDuty(session_id, fence, to_micros(at + timedelta(seconds=lease_seconds))))
    return Duty(name=name, session_id=session_id, fence=fence)


def _renew(
    connection: sqlite3.Connection, counters: QueueCounters, duty: Duty, at: datetime, lease_seconds: float
) -> HalleyError | None:
    if not counters.is_on_duty(duty):
        return _lost(duty)
    expires_at = to_micros(counters.clock.current(at) + timedelta(seconds=lease_seconds))
    _put(connection, counters, duty.name, HeldDuty(duty.session_id, duty.fence, expires_at))
    return None


def _release(connection: sqlite3.Connection, counters: QueueCounters, duty: Duty) -> None:
    if counters.is_on_duty(duty):
        _put(connection, counters, duty.name, HeldDuty(None, duty.fence, 0))


def _put(connection: sqlite3.Connection, counters: QueueCounters, name: str, held: HeldDuty) -> None:
    connection.execute(_PUT, (name, held.session_id, held.fence, held.expires_at))
    counters.duties[name] = held


def if_on_duty(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    duty: Duty,
    operation: Callable[..., T],
    args: tuple[Any, ...],
) -> T | HalleyError:
    """Run it, unless the duty is lost: the fence is compared in the same transaction."""
    return operation(connection, *args) if counters.is_on_duty(duty) else _lost(duty)


def _lost(duty: Duty) -> DutyLost:
    """The error for a write with an old fence."""
    return DutyLost(f"Session {duty.session_id} with fence {duty.fence} has lost the duty of {duty.name}.")
