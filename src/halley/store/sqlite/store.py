"""The SQLite store as a whole: opened in order, closed in reverse."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from anyio import CancelScope, to_thread

from halley.clock import Clock, SystemClock
from halley.errors import Unusable
from halley.predictions.queue import QueueLimits
from halley.store.sqlite.attendance import AttendanceRows
from halley.store.sqlite.bulk import BulkRows
from halley.store.sqlite.changes import LeaseGuard
from halley.store.sqlite.clock import SqliteClock
from halley.store.sqlite.deliveries import DeliveryRows
from halley.store.sqlite.duties import DutyRows
from halley.store.sqlite.files import FileRows, LedgerRows
from halley.store.sqlite.keys import KeyRows
from halley.store.sqlite.models import ModelRows
from halley.store.sqlite.predictions import PredictionRows
from halley.store.sqlite.probe import ProbeRows
from halley.store.sqlite.queue import QueueRows
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.reads import Reads
from halley.store.sqlite.reaper import Reaper
from halley.store.sqlite.recent import RecentRows
from halley.store.sqlite.repeats import RepeatRows
from halley.store.sqlite.retention import RetentionRows
from halley.store.sqlite.schema import connect, prepare
from halley.store.sqlite.search import SearchRows
from halley.store.sqlite.settlements import SettlementRows
from halley.store.sqlite.sign_ins import SignInRows
from halley.store.sqlite.submits import SubmitRows
from halley.store.sqlite.together import TOGETHER
from halley.store.sqlite.writer import GroupWriter

_WRITER_CACHE_KIB: Final = 4096
_NO_LIMITS: Final = QueueLimits()


class SqliteStore(
    BulkRows,
    PredictionRows,
    SearchRows,
    RepeatRows,
    AttendanceRows,
    DutyRows,
    QueueRows,
    SubmitRows,
    SettlementRows,
    Reaper,
    ModelRows,
    KeyRows,
    SignInRows,
    LedgerRows,
    RetentionRows,
    ProbeRows,
):
    """Implements PredictionStore, SearchStore, RepeatStore, AttendanceStore, DutyStore, WorkQueue, SettlementStore,
    RerunStore, BulkStore, ModelStore, KeyStore, SignInStore, BlobLedger and DataStore; `files` implements FileStore,
    `deliveries` DeliveryStore and SecretStore.

    Counts, sessions and duties are kept in the memory of one process (store.folder ensures that there is only one),
    unless the database is opened as shared. Turns always are: with several processes each divides its own claims
    fairly.
    """

    def __init__(
        self, writer: GroupWriter, reads: Reads, counters: QueueCounters, guard: LeaseGuard, recent: RecentRows
    ) -> None:
        super().__init__(writer, reads, counters, guard, recent)
        self.files = FileRows(writer, reads, counters, guard, recent)
        self.deliveries = DeliveryRows(writer, reads, counters, guard, recent)

    @property
    def broken(self) -> Unusable | None:
        """Why nothing can be written any more, or None: end the process, and start it again when the disk works."""
        return self._writer.broken


@asynccontextmanager
async def open_sqlite(
    path: Path | str,
    *,
    clock: Clock | None = None,
    limits: QueueLimits = _NO_LIMITS,
    keep_backups: int = 0,
    is_shared: bool = False,
    failpoint: Callable[[str], None] | None = None,
    planted: frozenset[str] = frozenset(),
) -> AsyncIterator[SqliteStore]:
    """Open the database, created or migrated as needed, and close it after the block when all writes are done.

    Before it is migrated it is copied, and `keep_backups` such copies are kept; with 0 none is made.

    `is_shared`: other processes, or other stores of this one, write to the same file. The counters are then read again
    after each of their commits, which takes time with the length of the queue: for tests of several nodes.

    `clock` is compared with elapsed time in every transaction: when it was set, deadlines, backoffs and leases move
    with it (`store.wall_clock`).

    `failpoint` is called in the writer's thread with "before_commit" and "after_commit" of every batch. `planted` names
    bugs to switch on: "ack_before_commit", "no_fence", "no_duty_fence". They are for tests that kill the server.

    Raises:
        Unusable: it is damaged, foreign, newer than this Halley, or on a disk that cannot hold it.
    """
    path = Path(path)
    clock = clock or SystemClock()
    connection = connect(path, read_only=False, cache_kib=_WRITER_CACHE_KIB)
    try:
        await to_thread.run_sync(prepare, connection, path, clock.now(), keep_backups)
        counters = QueueCounters(
            limits,
            await to_thread.run_sync(partial(SqliteClock, connection, clock, is_shared=is_shared)),
            unfenced_duties="no_duty_fence" in planted,
            is_shared=is_shared,
        )
        await to_thread.run_sync(counters.reload, connection)
        reads = Reads(path)
    except BaseException:
        connection.close()
        raise
    writer = GroupWriter(
        connection, counters, together=TOGETHER, is_shared=is_shared, failpoint=failpoint, planted=planted
    )
    try:
        yield SqliteStore(
            writer, reads, counters, LeaseGuard(unfenced="no_fence" in planted), RecentRows(is_shared=is_shared)
        )
    finally:
        with CancelScope(shield=True):  # queued writes are always written
            await reads.close()
            await to_thread.run_sync(writer.close)
