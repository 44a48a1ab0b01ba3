"""What every subject of the store works with."""

from halley.store.sqlite.book import Book
from halley.store.sqlite.changes import Guard
from halley.store.sqlite.reads import Reads
from halley.store.sqlite.recent import RecentRows
from halley.store.sqlite.writer import GroupWriter


class Part:
    """One subject of the store: writes go through the writer, reads through the reading connections."""

    def __init__(self, writer: GroupWriter, reads: Reads, book: Book, guard: Guard, recent: RecentRows) -> None:
        self._writer = writer
        self._reads = reads
        self._book = book
        self._guard = guard
        self._recent = recent
