"""Every store keeps the promises of its ports."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from halley.assets.ports import BlobLedger, FileStore
from halley.store.memory import MemoryStore
from halley.store.ports import Deliveries, Store
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.testing.stores import (
    AttendanceStoreContract,
    BlobLedgerContract,
    BulkContract,
    DataStoreContract,
    DeliveryStoreContract,
    DutyStoreContract,
    FileStoreContract,
    KeyStoreContract,
    ModelStoreContract,
    PredictionStoreContract,
    RepeatStoreContract,
    RerunContract,
    SearchContract,
    SettlementContract,
    SharedQueueContract,
    SharedTurnContract,
    SignInStoreContract,
    WorkQueueContract,
)
from halley.testing.stores.maker import SMALL, Maker
from halley.testing.stores.two_nodes import alternating
from halley.testing.stores.wall_clock import Restart

Nodes = tuple[Any, Any]


class OnSqlite:
    """Fixtures: a fresh file for each test."""

    @pytest.fixture
    def maker(self) -> Maker:
        return Maker()

    @pytest.fixture
    async def store(self, tmp_path: Path, maker: Maker) -> AsyncIterator[SqliteStore]:
        async with open_sqlite(tmp_path / "halley.db", clock=maker.clock) as store:
            yield store

    @pytest.fixture
    async def small_store(self, tmp_path: Path, maker: Maker) -> AsyncIterator[SqliteStore]:
        async with open_sqlite(tmp_path / "small.db", limits=SMALL, clock=maker.clock) as store:
            yield store

    @pytest.fixture
    async def restart(self, tmp_path: Path, maker: Maker) -> AsyncIterator[Restart]:
        async with AsyncExitStack() as stack:

            async def restart(store: Store) -> Store:
                del store
                return await stack.enter_async_context(open_sqlite(tmp_path / "halley.db", clock=maker.clock))

            yield restart

    @pytest.fixture
    def files(self, store: SqliteStore) -> FileStore:
        return store.files

    @pytest.fixture
    def ledger(self, store: SqliteStore) -> BlobLedger:
        return store

    @pytest.fixture
    def deliveries(self, store: SqliteStore) -> Deliveries:
        return store.deliveries

    async def remove_data(self, store: SqliteStore, maker: Maker, prediction_id: str) -> None:
        statement = "UPDATE predictions SET data_removed_at = 1 WHERE id = ?"
        await store._writer.submit(lambda connection: connection.execute(statement, (prediction_id,)).rowcount)


class OnShared:
    """What goes through both nodes by turns, beside the store."""

    @pytest.fixture
    def files(self, nodes: Nodes) -> FileStore:
        return cast("FileStore", alternating(nodes[0].files, nodes[1].files))

    @pytest.fixture
    def deliveries(self, nodes: Nodes) -> Deliveries:
        return cast("Deliveries", alternating(nodes[0].deliveries, nodes[1].deliveries))


class OnSharedSqlite(OnShared, OnSqlite):
    """Two stores on one file, called by turns."""

    @pytest.fixture
    async def nodes(self, tmp_path: Path, maker: Maker) -> AsyncIterator[Nodes]:
        path = tmp_path / "halley.db"
        async with (
            open_sqlite(path, clock=maker.clock, is_shared=True) as first,
            open_sqlite(path, clock=maker.clock, is_shared=True) as second,
        ):
            yield first, second

    @pytest.fixture
    def store(self, nodes: Nodes) -> Store:  # type: ignore[override]
        return alternating(*nodes)

    @pytest.fixture
    async def small_store(self, tmp_path: Path, maker: Maker) -> AsyncIterator[Store]:  # type: ignore[override]
        path = tmp_path / "small.db"
        async with (
            open_sqlite(path, limits=SMALL, clock=maker.clock, is_shared=True) as first,
            open_sqlite(path, limits=SMALL, clock=maker.clock, is_shared=True) as second,
        ):
            yield alternating(first, second)


class InMemory:
    """Fixtures: the double."""

    @pytest.fixture
    def maker(self) -> Maker:
        return Maker()

    @pytest.fixture
    def store(self, maker: Maker) -> MemoryStore:
        return MemoryStore(clock=maker.clock)

    @pytest.fixture
    def small_store(self, maker: Maker) -> MemoryStore:
        return MemoryStore(SMALL, clock=maker.clock)

    @pytest.fixture
    def restart(self, maker: Maker) -> Restart:
        async def restart(store: Any) -> Store:
            return MemoryStore(clock=maker.clock, tables=store.tables)

        return restart

    @pytest.fixture
    def files(self, store: MemoryStore) -> FileStore:
        return store.files

    @pytest.fixture
    def ledger(self, store: MemoryStore) -> BlobLedger:
        return store

    @pytest.fixture
    def deliveries(self, store: MemoryStore) -> Deliveries:
        return store.deliveries

    async def remove_data(self, store: MemoryStore, maker: Maker, prediction_id: str) -> None:
        entry = store._entries[prediction_id]
        entry.prediction = msgspec.structs.replace(entry.prediction, data_removed_at=maker.clock.now())


class OnSharedMemory(OnShared, InMemory):
    """Two doubles with the same tables, called by turns."""

    @pytest.fixture
    def nodes(self, maker: Maker) -> Nodes:
        first = MemoryStore(clock=maker.clock)
        return first, MemoryStore(clock=maker.clock, tables=first.tables)

    @pytest.fixture
    def store(self, nodes: Nodes) -> Store:  # type: ignore[override]
        return alternating(*nodes)

    @pytest.fixture
    def small_store(self, maker: Maker) -> Store:  # type: ignore[override]
        first = MemoryStore(SMALL, clock=maker.clock)
        return alternating(first, MemoryStore(SMALL, clock=maker.clock, tables=first.tables))


class TestSqlitePredictions(OnSqlite, PredictionStoreContract): ...


class TestSqliteSearch(OnSqlite, SearchContract): ...


class TestSqliteRepeats(OnSqlite, RepeatStoreContract): ...


class TestSqliteSettlements(OnSqlite, SettlementContract): ...


class TestSqliteReruns(OnSqlite, RerunContract): ...


class TestSqliteBulk(OnSqlite, BulkContract): ...


class TestSqliteAttendance(OnSqlite, AttendanceStoreContract): ...


class TestSqliteDuties(OnSqlite, DutyStoreContract): ...


class TestSqliteQueue(OnSqlite, WorkQueueContract): ...


class TestSqliteModels(OnSqlite, ModelStoreContract): ...


class TestSqliteKeys(OnSqlite, KeyStoreContract): ...


class TestSqliteSignIns(OnSqlite, SignInStoreContract): ...


class TestSqliteFiles(OnSqlite, FileStoreContract): ...


class TestSqliteLedger(OnSqlite, BlobLedgerContract): ...


class TestSqliteData(OnSqlite, DataStoreContract): ...


class TestSqliteDeliveries(OnSqlite, DeliveryStoreContract): ...


class TestMemoryPredictions(InMemory, PredictionStoreContract): ...


class TestMemorySearch(InMemory, SearchContract): ...


class TestMemoryRepeats(InMemory, RepeatStoreContract): ...


class TestMemorySettlements(InMemory, SettlementContract): ...


class TestMemoryReruns(InMemory, RerunContract): ...


class TestMemoryBulk(InMemory, BulkContract): ...


class TestMemoryAttendance(InMemory, AttendanceStoreContract): ...


class TestMemoryDuties(InMemory, DutyStoreContract): ...


class TestMemoryQueue(InMemory, WorkQueueContract): ...


class TestMemoryModels(InMemory, ModelStoreContract): ...


class TestMemoryKeys(InMemory, KeyStoreContract): ...


class TestMemorySignIns(InMemory, SignInStoreContract): ...


class TestMemoryFiles(InMemory, FileStoreContract): ...


class TestMemoryLedger(InMemory, BlobLedgerContract): ...


class TestMemoryData(InMemory, DataStoreContract): ...


class TestMemoryDeliveries(InMemory, DeliveryStoreContract): ...


class TestSharedSqlitePredictions(OnSharedSqlite, PredictionStoreContract): ...


class TestSharedSqliteSearch(OnSharedSqlite, SearchContract): ...


class TestSharedSqliteRepeats(OnSharedSqlite, RepeatStoreContract): ...


class TestSharedSqliteSettlements(OnSharedSqlite, SettlementContract): ...


class TestSharedSqliteReruns(OnSharedSqlite, RerunContract): ...


class TestSharedSqliteBulk(OnSharedSqlite, BulkContract): ...


class TestSharedSqliteAttendance(OnSharedSqlite, AttendanceStoreContract): ...


class TestSharedSqliteDuties(OnSharedSqlite, DutyStoreContract): ...


class TestSharedSqliteQueue(OnSharedSqlite, SharedQueueContract, SharedTurnContract): ...


class TestSharedSqliteModels(OnSharedSqlite, ModelStoreContract): ...


class TestSharedSqliteKeys(OnSharedSqlite, KeyStoreContract): ...


class TestSharedSqliteSignIns(OnSharedSqlite, SignInStoreContract): ...


class TestSharedSqliteFiles(OnSharedSqlite, FileStoreContract): ...


class TestSharedSqliteLedger(OnSharedSqlite, BlobLedgerContract): ...


class TestSharedSqliteData(OnSharedSqlite, DataStoreContract): ...


class TestSharedSqliteDeliveries(OnSharedSqlite, DeliveryStoreContract): ...


class TestSharedMemoryPredictions(OnSharedMemory, PredictionStoreContract): ...


class TestSharedMemorySearch(OnSharedMemory, SearchContract): ...


class TestSharedMemoryRepeats(OnSharedMemory, RepeatStoreContract): ...


class TestSharedMemorySettlements(OnSharedMemory, SettlementContract): ...


class TestSharedMemoryReruns(OnSharedMemory, RerunContract): ...


class TestSharedMemoryBulk(OnSharedMemory, BulkContract): ...


class TestSharedMemoryAttendance(OnSharedMemory, AttendanceStoreContract): ...


class TestSharedMemoryDuties(OnSharedMemory, DutyStoreContract): ...


class TestSharedMemoryQueue(OnSharedMemory, SharedQueueContract, SharedTurnContract): ...


class TestSharedMemoryModels(OnSharedMemory, ModelStoreContract): ...


class TestSharedMemoryKeys(OnSharedMemory, KeyStoreContract): ...


class TestSharedMemorySignIns(OnSharedMemory, SignInStoreContract): ...


class TestSharedMemoryFiles(OnSharedMemory, FileStoreContract): ...


class TestSharedMemoryLedger(OnSharedMemory, BlobLedgerContract): ...


class TestSharedMemoryData(OnSharedMemory, DataStoreContract): ...


class TestSharedMemoryDeliveries(OnSharedMemory, DeliveryStoreContract): ...
