"""Claims: choose waiting predictions fairly between accounts, and lease all of them with a few statements."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from halley.clock import to_micros
from halley.errors import HalleyError, LeaseLost
from halley.predictions.queue import Claimed, Lease
from halley.store.sqlite.many_rows import Portions
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.rows import Live, select_many_live
from halley.store.sqlite.submits import read_recorded

_CANDIDATES: Final = (
    "SELECT prediction_id, fence + 1, attempt + 1, alone, work_input IS NOT NULL OR context IS NOT NULL"
    " FROM queue WHERE version = ? AND account_id = ? AND session_id IS NULL AND ready_at <= ?"
    " AND (deadline_at IS NULL OR deadline_at > ?) ORDER BY priority DESC, prediction_id LIMIT ?"
)
_Entry = tuple[str, int, int, int, int]
"""Of a waiting prediction: its id, its next fence and attempt, whether it runs alone, and whether it has a real input
or a context beside it.
"""
_TAKE: Final = Portions(  # without RETURNING, which lets SQLite collect the rows three times
    "UPDATE queue SET session_id = ?, fence = fence + 1, attempt = attempt + 1 WHERE prediction_id IN ({})", "?"
)
_SECRETS: Final = "SELECT work_input, context FROM queue WHERE prediction_id = ?"


def claim(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    session_id: str,
    credits: dict[str, int],
    at: datetime,
    but_of: frozenset[str],
) -> list[Claimed] | HalleyError:
    """See WorkQueue.claim."""
    if session_id not in counters.sessions:
        return no_session(session_id)
    claimed: list[Claimed] = []
    now = to_micros(counters.clock.current(at))
    for version, most in credits.items():
        chosen = _choose(connection, counters, version, most, now, but_of)
        if chosen:
            claimed += _take(connection, counters, session_id, chosen)
    return claimed


def no_session(session_id: str) -> LeaseLost:
    """The error for a session that is not open."""
    return LeaseLost(f"The session {session_id} is not open: it expired and was reaped, or never existed.")


def _choose(
    connection: sqlite3.Connection, counters: QueueCounters, version: str, most: int, now: int, but_of: frozenset[str]
) -> list[_Entry]:
    """The next predictions in order, at most `most`; their turns are counted, and that they wait no more."""

    def line(account_id: str) -> list[_Entry]:
        return connection.execute(_CANDIDATES, (version, account_id, now, now, most)).fetchall()

    accounts = {account_id for account_id in counters.waiting.get(version, ()) if account_id not in but_of}
    if len(accounts) != 1:
        return _choose_in_turn(counters, version, most, accounts, line)
    (account_id,) = accounts
    chosen = line(account_id)
    if chosen:
        counters.turns(version).take(account_id, counters.weight(account_id), turns=len(chosen))
        counters.add_waiting(version, account_id, -len(chosen))
    return chosen


def _choose_in_turn(
    counters: QueueCounters, version: str, most: int, accounts: set[str], line: Callable[[str], list[_Entry]]
) -> list[_Entry]:
    """As `_choose`, among these accounts; `line` gives the next predictions of one."""
    turns = counters.turns(version)
    lines: dict[str, list[_Entry]] = {}  # account -> its next predictions, in reverse order; read at its turn
    chosen: list[_Entry] = []
    while accounts and len(chosen) < most:
        account_id = turns.next_of(accounts)
        if account_id not in lines:
            lines[account_id] = line(account_id)[::-1]
        if not lines[account_id]:
            accounts.remove(account_id)
            continue
        turns.take(account_id, counters.weight(account_id))
        counters.add_waiting(version, account_id, -1)
        chosen.append(lines[account_id].pop())
    return chosen


def _take(
    connection: sqlite3.Connection, counters: QueueCounters, session_id: str, chosen: Sequence[_Entry]
) -> list[Claimed]:
    """Lease them; the outcome is in the same order."""
    names = [entry[0] for entry in chosen]
    taken = sum(connection.execute(statement, (session_id, *ids)).rowcount for statement, ids in _TAKE.of(names))
    rows = counters.known.take_waiting(connection, names)
    unknown = [prediction_id for prediction_id in names if prediction_id not in rows]
    rows.update((live.prediction.id, live) for live in select_many_live(connection, unknown))
    if not taken == len(rows) == len(chosen):
        raise AssertionError(f"queue and predictions disagree about some of {names}")
    return [_taken(connection, counters, rows[entry[0]], session_id, entry) for entry in chosen]


def _taken(
    connection: sqlite3.Connection, counters: QueueCounters, live: Live, session_id: str, entry: _Entry
) -> Claimed:
    name, fence, attempt, alone, has_secrets = entry
    work_input, context = connection.execute(_SECRETS, (name,)).fetchone() if has_secrets else (None, None)
    live.session_id, live.fence, live.attempt = session_id, fence, attempt
    prediction = live.prediction = msgspec.structs.replace(live.prediction, fence=fence, attempts=attempt)
    counters.known.keep(live)
    return Claimed(
        lease=Lease(prediction_id=prediction.id, session_id=session_id, fence=fence, attempt=attempt),
        prediction=prediction,
        work_input=prediction.input if work_input is None else work_input,
        context=context,
        alone=alone == 1,
        recorded=None if prediction.submit_state is None else read_recorded(connection, prediction.id),
        waited_seconds=counters.clock.age(prediction.id, prediction.created_at),
    )
