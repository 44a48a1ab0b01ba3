"""Deals runs out by weights: with 1 and 3, each fourth run goes to the first. It is the same order each time.

The method is smooth weighted round-robin: each turn every place gains its weight, and the place that has most pays the
sum of all. Places that cannot take a run now are left out of a turn: their share goes to the others, and is not made up
for later.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

Weights = Mapping[str, int]


class Turn(NamedTuple):
    """A turn that was taken: by whom, and among whom."""

    winner: str
    among: tuple[str, ...]


class WeightedTurns:
    """The turns of one route."""

    def __init__(self, weights: Weights) -> None:
        self.weights: Final = weights
        self._gained = dict.fromkeys(weights, 0)

    def order(self, among: Iterable[str]) -> list[str]:
        """These places, the next one first; changes nothing."""
        # the sort is stable: of equal ones the first in the settings comes first
        return sorted(among, key=lambda name: -self._gained[name] - self.weights[name])

    def take(self, turn: Turn) -> None:
        """A run was given to the winner."""
        self._settle(turn, 1)

    def give_back(self, turn: Turn) -> None:
        """The winner's run did not begin."""
        self._settle(turn, -1)

    def _settle(self, turn: Turn, sign: int) -> None:
        for name in turn.among:
            self._gained[name] += sign * self.weights[name]
        self._gained[turn.winner] -= sign * sum(self.weights[name] for name in turn.among)
