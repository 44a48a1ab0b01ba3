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
    DataStoreContract,
    DeliveryStoreContract,
    DutyStoreContract,
    FileStoreContract,
    KeyStoreContract,
    ModelStoreContract,
    PredictionStoreContract,
    RepeatStoreContract,
    WorkQueueContract,
)
from halley.testing.stores.leases import LeaseContract
from halley.testing.stores.maker import SMALL, Maker
from halley.testing.stores.queue import ClaimContract
from halley.testing.stores.rescue import RescueContract
from halley.testing.stores.two_nodes import alternating
from halley.testing.stores.wall_clock import Restart


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


class OnSharedSqlite(OnSqlite):
    """Two stores on one file, called by turns."""

    @pytest.fixture
    async def store(self, tmp_path: Path, maker: Maker) -> AsyncIterator[Store]:  # type: ignore[override]
        path = tmp_path / "halley.db"
        async with (
            open_sqlite(path, clock=maker.clock, is_shared=True) as first,
            open_sqlite(path, clock=maker.clock, is_shared=True) as second,
        ):
            yield alternating(first, second)

    @pytest.fixture
    async def small_store(self, tmp_path: Path, maker: Maker) -> AsyncIterator[Store]:  # type: ignore[override]
        path = tmp_path / "small.db"
        async with (
            open_sqlite(path, limits=SMALL, clock=maker.clock, is_shared=True) as first,
            open_sqlite(path, limits=SMALL, clock=maker.clock, is_shared=True) as second,
        ):
            yield alternating(first, second)

    @pytest.fixture
    def files(self, store: Any) -> FileStore:
        return cast("FileStore", alternating(store.files, store.files))

    @pytest.fixture
    def deliveries(self, store: Any) -> Deliveries:
        return cast("Deliveries", alternating(store.deliveries, store.deliveries))


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
    def restart(self) -> Restart:
        async def restart(store: Any) -> Store:
            store._clock.open()
            return store

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


class TestSqlitePredictions(OnSqlite, PredictionStoreContract): ...


class TestSqliteRepeats(OnSqlite, RepeatStoreContract): ...


class TestSqliteAttendance(OnSqlite, AttendanceStoreContract): ...


class TestSqliteDuties(OnSqlite, DutyStoreContract): ...


class TestSqliteQueue(OnSqlite, WorkQueueContract): ...


class TestSqliteModels(OnSqlite, ModelStoreContract): ...


class TestSqliteKeys(OnSqlite, KeyStoreContract): ...


class TestSqliteFiles(OnSqlite, FileStoreContract): ...


class TestSqliteLedger(OnSqlite, BlobLedgerContract): ...


class TestSqliteData(OnSqlite, DataStoreContract): ...


class TestSharedRepeats(OnSharedSqlite, RepeatStoreContract): ...


class TestSharedAttendance(OnSharedSqlite, AttendanceStoreContract): ...


class TestSharedDuties(OnSharedSqlite, DutyStoreContract): ...


class TestSharedQueue(OnSharedSqlite, ClaimContract, LeaseContract, RescueContract):
    async def test_being_born_leased_is_a_turn_as_well(self, store: Store, maker: Maker) -> None:
        pytest.skip("turns are counted per node: docs/why/roles.md")


class TestMemoryPredictions(InMemory, PredictionStoreContract): ...


class TestMemoryRepeats(InMemory, RepeatStoreContract): ...


class TestMemoryAttendance(InMemory, AttendanceStoreContract): ...


class TestMemoryDuties(InMemory, DutyStoreContract): ...


class TestMemoryQueue(InMemory, WorkQueueContract): ...


class TestMemoryModels(InMemory, ModelStoreContract): ...


class TestMemoryKeys(InMemory, KeyStoreContract): ...


class TestMemoryFiles(InMemory, FileStoreContract): ...


class TestMemoryLedger(InMemory, BlobLedgerContract): ...


class TestMemoryData(InMemory, DataStoreContract): ...


class TestSqliteDeliveries(OnSqlite, DeliveryStoreContract): ...


class TestMemoryDeliveries(InMemory, DeliveryStoreContract): ...
