"""Chooses the next account: a fair share of claims for each, for any length of its queue.

Stride scheduling. Each account has a pass value, which grows by 1/weight when it gets a turn; the account with the
smallest value is next. An account that returns after a pause starts at the value of the others: turns cannot be saved
up.
"""

from collections.abc import Iterable
from typing import Final

_ROAD: Final = 5_040  # divisible by every weight up to 10, so that small weights divide it exactly
_KEPT: Final = 1_000


class StrideScheduler:
    """The turns of one version. Kept in memory: after a restart all accounts start equal, which is fair as well."""

    __slots__ = ("_front", "_places", "_room")

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._front = 0  # the position of the last turn, where new accounts begin
        self._room = _KEPT

    def next_of(self, accounts: Iterable[str]) -> str:
        """The account that is next: new accounts without a position first; ties go to the smaller id."""
        return min(accounts, key=lambda account: (self._places.get(account, 0), account))

    def take(self, account: str, weight: int, *, turns: int = 1, out_of_turn: bool = False) -> None:
        """Count a turn of the account, or several that follow each other; `out_of_turn` if it was not chosen among
        waiting accounts.
        """
        place, step = max(self._places.get(account, 0), self._front), max(_ROAD // weight, 1)
        if not out_of_turn:
            self._front = place + (turns - 1) * step
        self._places[account] = place + turns * step
        if len(self._places) > self._room:
            self._places = {name: at for name, at in self._places.items() if at > self._front}
            self._room = max(_KEPT, 2 * len(self._places))
