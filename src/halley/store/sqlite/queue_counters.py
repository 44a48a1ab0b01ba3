"""Counts of the queue that the writer keeps in memory, so that a create need not count rows and a claim need not
search.

Only the writer's thread uses them. They are read again from the database after a failed transaction; turns are kept
anyway, because at worst an account is served once too early.
"""

import sqlite3
from typing import Final, NamedTuple

from halley.errors import HalleyError, Overloaded, QueueFull
from halley.predictions.duties import Duty
from halley.predictions.queue import QueueLimits
from halley.predictions.records import Prediction
from halley.store.sqlite.clock import SqliteClock
from halley.store.sqlite.known_rows import KnownRows
from halley.store.sqlite.stride_scheduler import StrideScheduler

_BUSY_SECONDS: Final = 5

_COUNT_WAITING: Final = (
    "SELECT version, account_id, count(*) FROM queue WHERE session_id IS NULL GROUP BY version, account_id"
)
_NEXT_OFFSET: Final = (
    'SELECT max(coalesce((SELECT max("offset") FROM events), 0), coalesce((SELECT max("offset") FROM cursors), 0)) + 1'
)
_LAST_TOLD: Final = 'SELECT coalesce(max("offset"), 0) FROM events INDEXED BY events_for_webhooks WHERE for_webhook = 1'
_ALL_OFFSETS: Final = 2**63
_ADD_RUNS: Final = "UPDATE models SET run_count = run_count + ? WHERE owner = ? AND name = ?"


class HeldDuty(NamedTuple):
    """Which session holds a duty until when, in microseconds; none if the session is None."""

    session_id: str | None
    fence: int
    expires_at: int


class QueueCounters:
    """Counts, sessions, duties, weights and turns. Implements `writer.WriterState`.

    `unfenced_duties` is a planted bug, for the test that must find it: a former holder of a duty may write forever.
    """

    def __init__(
        self, limits: QueueLimits, clock: SqliteClock, *, unfenced_duties: bool = False, is_shared: bool = False
    ) -> None:
        self.clock = clock
        self.known = KnownRows()
        self._unfenced_duties = unfenced_duties
        self._is_shared = is_shared
        # no event for a webhook has a larger offset; the loop's thread reads it, too
        self.last_told = _ALL_OFFSETS
        self.sessions: dict[str, int] = {}  # id -> expires_at in microseconds
        self.duties: dict[str, HeldDuty] = {}
        self.waiting: dict[str, dict[str, int]] = {}  # version -> account -> predictions; never zero
        self._limits = limits
        self._of_account: dict[str, int] = {}
        self._total = 0
        self._weights: dict[str, int] = {}
        self._turns: dict[str, StrideScheduler] = {}
        self._runs: dict[str, int] = {}
        self._next_offset = 1

    def reload(self, connection: sqlite3.Connection) -> None:
        self.known.clear()
        self.waiting.clear()
        self._of_account.clear()
        self._total = 0
        for version, account_id, count in connection.execute(_COUNT_WAITING):
            self.add_waiting(version, account_id, count)
        self._read_leases(connection)
        self._weights = dict(connection.execute("SELECT id, weight FROM accounts").fetchall())
        (self._next_offset,) = connection.execute(_NEXT_OFFSET).fetchone()
        if not self._is_shared:
            (self.last_told,) = connection.execute(_LAST_TOLD).fetchone()
        self._runs.clear()

    def begin(self, connection: sqlite3.Connection) -> None:
        if self.clock.begin(connection):
            self._read_leases(connection)

    def commit(self) -> None:
        self.clock.commit()

    def settle(self, connection: sqlite3.Connection) -> None:
        if self._runs:
            rows = [(count, *model.split("/", 1)) for model, count in self._runs.items()]
            connection.executemany(_ADD_RUNS, rows)
            self._runs.clear()

    def is_on_duty(self, duty: Duty) -> bool:
        """Whether session and fence are those of the present holder."""
        held = self.duties.get(duty.name)
        is_held = held is not None and (held.session_id, held.fence) == (duty.session_id, duty.fence)
        return is_held or self._unfenced_duties

    def _read_leases(self, connection: sqlite3.Connection) -> None:
        self.sessions = dict(connection.execute("SELECT id, expires_at FROM sessions").fetchall())
        duties = connection.execute("SELECT name, session_id, fence, expires_at FROM duties").fetchall()
        self.duties = {name: HeldDuty(*held) for name, *held in duties}

    def refusal(self, account_id: str) -> HalleyError | None:
        """Why one more prediction may not wait, or None."""
        limits = self._limits
        if self._of_account.get(account_id, 0) >= limits.per_account:
            return QueueFull(
                f"This account has {limits.per_account} predictions waiting, the most it may have "
                "(limits.queued_per_account). Wait until some have begun, or cancel some.",
                retry_after_seconds=_BUSY_SECONDS,
            )
        if self._total >= limits.total:
            return Overloaded(
                f"This server has {limits.total} predictions waiting, the most it takes (limits.queued_total). "
                "Try again later.",
                retry_after_seconds=_BUSY_SECONDS,
            )
        return None

    def room(self, account_id: str) -> int:
        """How many more predictions may wait."""
        limits = self._limits
        return max(0, min(limits.per_account - self._of_account.get(account_id, 0), limits.total - self._total))

    def add_waiting(self, version: str, account_id: str, count: int = 1) -> None:
        """Count so many more waiting predictions; `count` may be negative."""
        accounts = self.waiting.setdefault(version, {})
        left = accounts.get(account_id, 0) + count
        if left > 0:
            accounts[account_id] = left
        else:
            accounts.pop(account_id, None)
            if not accounts:
                del self.waiting[version]
        self._total += count
        left = self._of_account.get(account_id, 0) + count
        if left > 0:
            self._of_account[account_id] = left
        else:
            self._of_account.pop(account_id, None)

    def turns(self, version: str) -> StrideScheduler:
        """The turns of a version."""
        turns = self._turns.get(version)
        if turns is None:
            turns = self._turns[version] = StrideScheduler()
        return turns

    def weight(self, account_id: str) -> int:
        return self._weights.get(account_id, 1)

    def set_weight(self, account_id: str, weight: int) -> None:
        self._weights[account_id] = weight

    def add_run(self, model: str, count: int = 1) -> None:
        """More runs of `owner/name`; written once for the whole transaction."""
        self._runs[model] = self._runs.get(model, 0) + count

    def add_leased(self, prediction: Prediction, count: int = 1) -> None:
        """Predictions like this one that are leased from the start count as runs, and as turns of its account."""
        self.add_run(prediction.model, count)
        version, account_id = prediction.version, prediction.account_id
        if version in self.waiting:  # if no account waits, being served costs the others nothing
            self.turns(version).take(account_id, self.weight(account_id), turns=count, out_of_turn=True)

    def take_offsets(self, count: int, *, may_be_told: bool) -> int:
        """The first of so many new offsets; `may_be_told`: some may be of events for a webhook.

        Offsets of a failed transaction are used again: they were never visible.
        """
        first = self._next_offset
        self._next_offset += count
        if may_be_told:
            self.last_told = max(self.last_told, first + count - 1)
        return first
