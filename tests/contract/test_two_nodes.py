"""Two processes of each role on one store keep their promises, and each planted bug is found."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.api.waiting.change_poller import ChangePoller
from halley.dispatch import worker as worker_module
from halley.dispatch.worker import Worker
from halley.maintenance.maintainer import Maintainer
from halley.predictions.status import Fact
from halley.store.memory import MemoryStore
from halley.store.ports import Store
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.testing.stores.maker import Maker
from halley.testing.two_nodes import Cluster, ClusterSuite, TwoNodesContract
from halley.testing.two_nodes.cluster import Barrier, loop_time


class InMemory(ClusterSuite):
    @pytest.fixture
    def stores(self, maker: Maker) -> tuple[Store, Store]:
        first = MemoryStore(clock=maker.clock)
        return first, MemoryStore(clock=maker.clock, tables=first.tables)

    @pytest.fixture
    def barrier(self) -> Barrier:
        async def barrier() -> None:
            """Everything is done when it is called."""

        return barrier


class OnSqlite(ClusterSuite):
    @pytest.fixture
    async def stores(self, tmp_path: Path, maker: Maker) -> AsyncIterator[tuple[SqliteStore, SqliteStore]]:
        path = tmp_path / "halley.db"
        async with (
            open_sqlite(path, clock=maker.clock, is_shared=True) as first,
            open_sqlite(path, clock=maker.clock, is_shared=True) as second,
        ):
            yield first, second

    @pytest.fixture
    def barrier(self, stores: tuple[Any, Any]) -> Barrier:
        async def barrier() -> None:
            for store in stores:
                await store._writer.submit(lambda connection: connection.total_changes)
                await store._reads.elsewhere(lambda connection: connection.total_changes)

        return barrier


class TestTwoNodesInMemory(InMemory, TwoNodesContract): ...


class TestTwoNodesOnSqlite(OnSqlite, TwoNodesContract): ...


class TestPlanted(InMemory):
    """Each planted bug is found by the suite."""

    suite = TwoNodesContract()

    @pytest.fixture
    def unfenced(self, maker: Maker) -> tuple[Store, Store]:
        first = MemoryStore(clock=maker.clock, unfenced=True)
        return first, MemoryStore(clock=maker.clock, tables=first.tables, unfenced=True)

    async def test_planted_bug_a_maintainer_that_acts_after_it_lost_its_lease_is_found(
        self, unfenced: tuple[Store, Store], maker: Maker, barrier: Barrier
    ) -> None:
        with loop_time(maker.clock):
            cluster = Cluster(unfenced, maker, barrier)
            await cluster.open()
            with pytest.raises(AssertionError, match="the late one has written"):
                await self.suite.test_a_process_paused_before_a_write_does_not_write_it(cluster)
            await cluster.close()

    async def test_planted_bug_a_worker_that_fails_what_it_does_not_know_is_found(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(worker: Any, version: str) -> None:
            for item in await worker._queue.claim(worker._session_id, {version: 9}, worker._clock.now()):
                await worker._queue.finish(item.lease, Fact.FAILED, worker._clock.now())
            worker._reports.unknown(version)

        monkeypatch.setattr(Worker, "_leave_alone", fail)
        with pytest.raises(AssertionError, match=r"(?i)failed"):
            await self.suite.test_a_worker_leaves_unknown_versions_to_others(cluster)

    async def test_planted_bug_a_submit_after_a_crash_between_intent_and_handle_is_found(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claim = MemoryStore.claim

        async def forget(*args: Any, **named: Any) -> Any:
            claimed = await claim(*args, **named)
            rows = [msgspec.structs.replace(item.prediction, submit_state=None, handle=None) for item in claimed]
            for row in rows:
                entry = args[0]._entries[row.id]
                entry.prediction = msgspec.structs.replace(entry.prediction, submit_state=None)
            return [
                msgspec.structs.replace(item, prediction=row, recorded=None)
                for item, row in zip(claimed, rows, strict=True)
            ]

        monkeypatch.setattr(MemoryStore, "claim", forget)
        with pytest.raises(AssertionError, match="handed over twice"):
            await self.suite.test_a_submitted_prediction_is_adopted_and_never_submitted_twice(cluster)

    async def test_planted_bug_a_waiter_without_a_poll_is_found(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def look(poller: ChangePoller) -> None:
            del poller

        monkeypatch.setattr(ChangePoller, "look", look)
        with pytest.raises(AssertionError, match="not so after"):
            await self.suite.test_a_prediction_of_one_server_runs_elsewhere_and_both_see_its_end(cluster)

    async def test_planted_bug_a_worker_without_a_poll_is_found(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker_module, "POLL_SECONDS", 1e6)
        with pytest.raises(AssertionError, match="not so after"):
            await self.suite.test_a_prediction_of_one_server_runs_elsewhere_and_both_see_its_end(cluster)

    async def test_planted_bug_a_maintainer_that_takes_a_pause_for_a_death_is_found(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Maintainer, "_notice_pause", lambda maintainer: None)
        with pytest.raises(AssertionError):
            await self.suite.test_a_pause_of_all_costs_no_worker_its_session(cluster)

    async def test_planted_bug_a_server_that_counts_only_its_own_clients_is_found(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def nobody(*args: Any) -> bool:
            del args
            return False

        monkeypatch.setattr(MemoryStore, "yield_awaited", nobody)
        with pytest.raises(AssertionError):
            await self.suite.test_only_the_last_server_whose_client_leaves_cancels(cluster)
