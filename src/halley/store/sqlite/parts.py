"""The base of each part of the store."""

from halley.store.sqlite.changes import LeaseGuard
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.reads import Reads
from halley.store.sqlite.recent import RecentRows
from halley.store.sqlite.writer import GroupWriter


class SqlitePart:
    """One subject of the store: writes go through the writer, reads through the reading connections."""

    def __init__(
        self, writer: GroupWriter, reads: Reads, counters: QueueCounters, guard: LeaseGuard, recent: RecentRows
    ) -> None:
        self._writer = writer
        self._reads = reads
        self._counters = counters
        self._guard = guard
        self._recent = recent
