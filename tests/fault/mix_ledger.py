"""What the clients of the kill mix were told, and what the server's books say: the two are compared at the end."""

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_RUN_ENDINGS: Final = ("model_error", "replica_died", "out_of_memory", "run_timeout", "output_unusable")
"""Reasons that only the holder of a lease reports."""

_EACH: Final = """(
    SELECT prediction_id, seq, attempt, kind, data FROM events WHERE kind <> 'returned'
    UNION ALL SELECT prediction_id, seq - 2, attempt, 'started', x'' FROM events WHERE kind = 'returned'
    UNION ALL SELECT prediction_id, seq - 1, attempt, 'output_set', data FROM events WHERE kind = 'returned'
    UNION ALL SELECT prediction_id, seq, attempt, 'finished', '{"status":"succeeded"}' FROM events
        WHERE kind = 'returned')"""
_EVENTS: Final = f"SELECT prediction_id, attempt, kind, data FROM {_EACH} ORDER BY prediction_id, seq"


class Ledger:
    """Answers that clients really received. Threads write to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.acknowledged: set[str] = set()
        self.canceled: set[str] = set()  # told so by the answer to their cancel
        self.unknown = 0  # creates that were sent and never answered: they may exist or not
        self.faults: Counter[str] = Counter()  # answers that nobody should get

    def told(self) -> tuple[set[str], set[str]]:
        """What is acknowledged, and what is canceled, at this moment."""
        with self._lock:
            return set(self.acknowledged), set(self.canceled)

    def acknowledge(self, prediction_id: str) -> None:
        """A create was answered with success."""
        with self._lock:
            self.acknowledged.add(prediction_id)

    def acknowledge_cancel(self, prediction_id: str) -> None:
        """A cancel was answered with `canceled`."""
        with self._lock:
            self.canceled.add(prediction_id)

    def miss(self) -> None:
        """A create was sent and not answered."""
        with self._lock:
            self.unknown += 1

    def complain(self, fault: str) -> None:
        """Something was answered that has no place here."""
        with self._lock:
            self.faults[fault] += 1


@dataclass
class Verdict:
    """What the books say against us; every list is empty if all is well."""

    lost: list[str] = field(default_factory=list)
    two_terminals: list[str] = field(default_factory=list)
    overturned: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.two_terminals or self.overturned or self.stale)


class Books:
    """The database of the server, read from beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """All rows of a statement, on a connection of its own that cannot write."""
        with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(statement, values).fetchall()

    def is_locked(self) -> bool:
        """True if somebody is inside a transaction that writes."""
        with closing(
            sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
        ) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return True
            return False

    def running(self) -> set[str]:
        """Predictions that somebody holds and that have not ended."""
        return {
            found
            for (found,) in self.rows("SELECT prediction_id FROM queue WHERE session_id IS NOT NULL AND NOT is_ended")
        }

    def kinds(self, prediction_id: str) -> set[str]:
        """Kinds of events that a prediction has."""
        return {kind for (kind,) in self.rows(f"SELECT kind FROM {_EACH} WHERE prediction_id = ?", prediction_id)}

    def ending(self, prediction_id: str) -> tuple[str, str | None, str | None] | None:
        """Status, error and reason of a prediction that has ended."""
        found = self.rows(
            "SELECT status, error, termination_reason FROM predictions WHERE id = ? AND completed_at IS NOT NULL",
            prediction_id,
        )
        return found[0] if found else None

    def unfinished(self) -> list[str]:
        """Predictions that have not ended."""
        return [found for (found,) in self.rows("SELECT id FROM predictions WHERE completed_at IS NULL")]

    def statuses(self) -> dict[str, int]:
        """How many predictions ended how."""
        return dict(
            self.rows("SELECT status || coalesce(' ' || termination_reason, ''), count(*) FROM predictions GROUP BY 1")
        )

    def compare(self, ledger: Ledger) -> Verdict:
        """Hold what clients were told, and the log of events, against the rows. The server may be working."""
        acknowledged, canceled = ledger.told()  # before the rows are read: what is told later may not be in them
        rows, logged = self._at_one_moment("SELECT id, status, completed_at IS NOT NULL FROM predictions", _EVENTS)
        status_of = {each: status for each, status, _ in rows}
        ended = {each for each, _, is_over in rows if is_over}
        verdict = Verdict(
            lost=sorted(acknowledged - status_of.keys()),
            overturned=sorted(each for each in canceled & status_of.keys() if status_of[each] != "canceled"),
        )
        finishes: dict[str, list[str]] = {}
        for prediction_id, events in _logs(logged):
            finishes[prediction_id] = [json.loads(event.data)["status"] for event in events if event.kind == "finished"]
            if fault := _stale(events):
                verdict.stale.append(f"{prediction_id}: {fault}")
        verdict.two_terminals = sorted(
            f"{each}: the row says {status_of[each]}, its events say {finishes.get(each, [])}"
            for each in status_of
            if finishes.get(each, []) != ([status_of[each]] if each in ended else [])
        )
        return verdict

    def _at_one_moment(self, *statements: str) -> list[list[Any]]:
        """All rows of each statement, read in one transaction: a commit between two of them is seen by none."""
        with closing(
            sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=5, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN")
            return [connection.execute(statement).fetchall() for statement in statements]


@dataclass(frozen=True)
class _Event:
    attempt: int
    kind: str
    data: bytes


def _logs(rows: Iterable[Any]) -> Iterable[tuple[str, list[_Event]]]:
    """The events of each prediction, from the rows of `_EVENTS`."""
    logs: dict[str, list[_Event]] = {}
    for prediction_id, *event in rows:
        logs.setdefault(prediction_id, []).append(_Event(*event))
    return logs.items()


_AFTERWARDS: Final = {"data_removed", "repeated"}
_BY_CALLERS: Final = {"created", "cancel_requested", "repeated"}  # no holder of a lease writes these


def _stale(events: list[_Event]) -> str | None:
    """The first event that a holder wrote after its attempt was lost, or after the end."""
    lost = 0
    over = False
    for event in events:
        if over and event.kind not in _AFTERWARDS:
            return f"{event.kind} after the end"
        if event.kind == "finished":
            over = True
            finish = json.loads(event.data)
            # who still waits may be canceled, or end by a clock: no holder said that
            by_holder = finish["status"] == "succeeded" or finish.get("reason") in _RUN_ENDINGS
            if event.attempt <= lost and by_holder:
                return f"attempt {event.attempt} was lost and ended it as {finish['status']}"
        elif event.kind == "attempt_lost":
            lost = max(lost, event.attempt)
        elif event.kind not in _BY_CALLERS and event.attempt <= lost:
            return f"{event.kind} of attempt {event.attempt}, which was lost"
    return None
