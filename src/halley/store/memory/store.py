"""All ports of the store in dictionaries: slow, because it scans everything, and simple to verify."""

from typing import Final

from halley.clock import Clock, SystemClock
from halley.predictions.queue import QueueLimits
from halley.store.memory.attendance import MemoryAttendance
from halley.store.memory.clock import MemoryClock
from halley.store.memory.queue import MemoryQueue
from halley.store.memory.shelves import MemorySignIns
from halley.store.memory.tables import MemoryTables

_NO_LIMITS: Final = QueueLimits()


class MemoryStore(MemoryAttendance, MemoryQueue, MemorySignIns):
    """Implements PredictionStore, SearchStore, RepeatStore, AttendanceStore, DutyStore, WorkQueue, SettlementStore,
    RerunStore, BulkStore, ModelStore, KeyStore, SignInStore, BlobLedger and DataStore; `files` implements FileStore,
    `deliveries` DeliveryStore and SecretStore.
    """

    def __init__(
        self,
        limits: QueueLimits = _NO_LIMITS,
        *,
        clock: Clock | None = None,
        tables: MemoryTables | None = None,
        unfenced: bool = False,
    ) -> None:
        """`tables` are those of another store, if both are nodes on one database."""
        super().__init__(tables or MemoryTables())
        self._limits = limits
        self._unfenced = unfenced
        self._clock = MemoryClock(clock or SystemClock(), self.tables)
