"""Distributes runs by weights: with 1 and 3, every fourth run goes to the first place, always in the same order.

The method is smooth weighted round-robin. In each turn every place gains its weight; the place with the highest sum
gets the run, and pays the total of the weights. Places that cannot take a run are left out of the turn: the others get
their share, which they do not get back later.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

Weights = Mapping[str, int]


class Turn(NamedTuple):
    """A turn: the place that got the run, and the places that could have got it."""

    winner: str
    among: tuple[str, ...]


class WeightedRoundRobin:
    """The turns of one route."""

    def __init__(self, weights: Weights) -> None:
        self.weights: Final = weights
        self._gained = dict.fromkeys(weights, 0)

    def order(self, among: Iterable[str]) -> list[str]:
        """These places, the one whose turn is next first. Changes nothing."""
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
