"""Statements about many rows at once: each step of a statement costs as much as two or three rows, and lets the other
threads run.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final, TypeVar

T = TypeVar("T")

_SIZES: Final = (64, 32, 16, 8, 4, 3, 2, 1)  # few, so that all stay prepared


class Portions:
    """A statement for any number of equal parts."""

    def __init__(self, statement: str, part: str) -> None:
        """`statement` has `{}` in the place of the parts, which are joined by commas."""
        self._statements = {size: statement.format(", ".join([part] * size)) for size in _SIZES}

    def of(self, items: Sequence[T]) -> Iterator[tuple[str, Sequence[T]]]:
        """The items in portions, in order, and the statement of each."""
        whole = self._statements.get(len(items))  # so where little happens: one of each
        return self._portions(items) if whole is None else iter(((whole, items),))

    def _portions(self, items: Sequence[T]) -> Iterator[tuple[str, Sequence[T]]]:
        done, count = 0, len(items)
        for size, statement in self._statements.items():
            while count - done >= size:
                yield statement, items[done : done + size]
                done += size


class ManyRows:
    """An INSERT for any number of rows."""

    def __init__(self, into: str, values: str) -> None:
        """`into` is what comes before VALUES, `values` one row in parentheses. Values of all rows, if there are any,
        come first in it, with their numbers: `?1`.
        """
        self._portions = Portions(f"{into} VALUES {{}}", values)

    def insert(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]], of_all: Sequence[Any] = ()) -> int:
        """Insert them in order; returns the ROWID of the last one, or 0."""
        last: int | None = 0
        for statement, portion in self._portions.of(rows):
            last = connection.execute(statement, [*of_all, *chain.from_iterable(portion)]).lastrowid
        return last or 0
