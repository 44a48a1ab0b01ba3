"""Two stores on one database used as one: what a suite writes through one node it reads through the other."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any, cast

from halley.store.ports import Store


class _Alternating:
    def __init__(self, nodes: Sequence[Any]) -> None:
        self._nodes = cycle(nodes)

    def __getattr__(self, name: str) -> Any:
        return getattr(next(self._nodes), name)


def alternating(first: Any, second: Any) -> Store:
    """A store whose calls go to the two alternately. Their database must be the same."""
    return cast("Store", _Alternating((first, second)))
