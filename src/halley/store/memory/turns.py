"""The waiting predictions of the store in memory, and which account is next."""

from datetime import datetime
from fractions import Fraction

from halley.keys.records import Account
from halley.predictions.records import Prediction
from halley.store.memory.entries import Entry
from halley.store.memory.tables import MemoryPart, MemoryTables


class MemoryTurns(MemoryPart):
    """The order of this node's claims; the waiting predictions are the same for all nodes."""

    accounts: dict[str, Account]

    def __init__(self, tables: MemoryTables) -> None:
        super().__init__(tables)
        self._turns: dict[str, dict[str, Fraction]] = {}  # version -> account -> turns by weight
        self._level: dict[str, Fraction] = {}  # version -> position of the last turn

    def _lines(self, version: str, at: datetime | None = None) -> dict[str, list[Entry]]:
        """The waiting predictions of this version, by account; with `at` only those that may be assigned then."""
        lines: dict[str, list[Entry]] = {}
        for entry in self._entries.values():
            row, place = entry.prediction, entry.place
            if row.version != version or place is None or not entry.waits:
                continue
            deadline_at = None if row.is_terminal else row.deadline_at
            is_late = at is not None and deadline_at is not None and deadline_at <= at
            if not is_late and (at is None or place.ready_at <= at):
                lines.setdefault(row.account_id, []).append(entry)
        return lines

    def _turn_of(self, version: str, account_id: str) -> Fraction:
        level = self._level.get(version, Fraction(0))
        return max(self._turns.get(version, {}).get(account_id, level), level)

    def _take_turn(self, row: Prediction, *, was_chosen: bool = True) -> None:
        turn = self._turn_of(row.version, row.account_id)
        if was_chosen:
            self._level[row.version] = turn
        account = self.accounts.get(row.account_id)
        weight = 1 if account is None else account.weight
        self._turns.setdefault(row.version, {})[row.account_id] = turn + Fraction(1, weight)
