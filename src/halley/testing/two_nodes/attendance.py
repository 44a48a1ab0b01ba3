"""Abandoned work, where clients wait at several API servers."""

from typing import Final

import pytest

from halley.predictions.records import Prediction
from halley.predictions.status import EventKind, Status
from halley.testing.two_nodes.cluster import ACCOUNT, KNOWN, STEP_SECONDS, Cluster, ClusterSuite
from halley.testing.two_nodes.nodes import GRACE_SECONDS, LEASE_SECONDS

TICKS: Final = 2.0  # the turns of the trackers, and what they allow for each other
LONG: Final = GRACE_SECONDS + LEASE_SECONDS + TICKS


@pytest.mark.anyio
class SharedAttendanceContract(ClusterSuite):
    """A prediction is abandoned only if no server has a client that waits for it."""

    async def wanted(self, cluster: Cluster) -> Prediction:
        """A prediction that waits for a slot."""
        cluster.workers[0].provider.slots = 0
        await cluster.workers[0].open([KNOWN])
        return await cluster.create(cancel_abandoned=True)

    async def is_canceled(self, cluster: Cluster, row: Prediction) -> bool:
        now = await cluster.row(row.id)
        if now.status is Status.CANCELED:
            assert now.termination_reason == "abandoned"
            assert await cluster.count(row.id, EventKind.FINISHED) == 1
        return now.status is Status.CANCELED

    async def test_only_the_last_server_whose_client_leaves_cancels(self, cluster: Cluster) -> None:
        here, there = [api.attendance for api in cluster.apis]
        row = await self.wanted(cluster)
        here.arrive(row)
        there.arrive(row)
        await cluster.pass_time(1.0)
        here.depart(row.id, is_told=False)
        await cluster.pass_time(LONG)
        assert not await self.is_canceled(cluster, row)
        there.depart(row.id, is_told=False)
        await cluster.pass_time(GRACE_SECONDS - STEP_SECONDS)
        assert not await self.is_canceled(cluster, row)
        await cluster.pass_time(TICKS)
        assert await self.is_canceled(cluster, row)
        assert await cluster.stores[0].awaited() == []

    async def test_clients_that_disconnect_everywhere_at_once_abandon_it_once(self, cluster: Cluster) -> None:
        row = await self.wanted(cluster)
        for api in cluster.apis:
            api.attendance.arrive(row)
        await cluster.pass_time(1.0)
        for api in cluster.apis:
            api.attendance.depart(row.id, is_told=False)
        await cluster.pass_time(GRACE_SECONDS + TICKS)
        assert await self.is_canceled(cluster, row)

    async def test_a_client_that_reconnects_at_another_server_keeps_the_prediction(self, cluster: Cluster) -> None:
        here, there = [api.attendance for api in cluster.apis]
        waits, reads = await self.wanted(cluster), await cluster.create(cancel_abandoned=True)
        for row in (waits, reads):
            here.arrive(row)
        await cluster.pass_time(1.0)
        for row in (waits, reads):
            here.depart(row.id, is_told=False)
        await cluster.pass_time(GRACE_SECONDS - STEP_SECONDS)
        there.arrive(waits)
        there.seen(reads)
        await cluster.pass_time(3 * LONG)
        assert not await self.is_canceled(cluster, waits)
        assert not await self.is_canceled(cluster, reads)
        assert await cluster.stores[0].awaited() == [waits.id]

    async def test_a_server_that_starts_cancels_nothing_that_others_wait_for(self, cluster: Cluster) -> None:
        row = await self.wanted(cluster)
        waiter = await cluster.apis[0].wait(row.id, ACCOUNT, seconds=300.0)
        await cluster.pass_time(1.0)
        await cluster.apis[1].attendance.open()  # like a server that was started now
        await cluster.pass_time(3 * LONG)
        assert not await self.is_canceled(cluster, row)
        assert not waiter.done()

    async def test_clients_of_a_dead_server_get_their_grace_from_another_one(self, cluster: Cluster) -> None:
        first, second = cluster.apis
        lost = await self.wanted(cluster)
        saved, read = [await cluster.create(cancel_abandoned=True) for _ in range(2)]
        for row in (lost, saved, read):
            first.attendance.arrive(row)
        await cluster.pass_time(1.0)
        first.die()
        await cluster.pass_time(1.0)
        second.attendance.seen(read)
        await cluster.pass_time(LEASE_SECONDS + GRACE_SECONDS - 2.5)
        assert not await self.is_canceled(cluster, lost)
        second.attendance.arrive(saved)
        await cluster.pass_time(LONG)
        assert await self.is_canceled(cluster, lost)
        assert not await self.is_canceled(cluster, saved)
        assert not await self.is_canceled(cluster, read)

    async def test_a_server_that_was_paused_still_has_its_clients(self, cluster: Cluster) -> None:
        first, second = cluster.apis
        row = await self.wanted(cluster)
        first.attendance.arrive(row)
        await cluster.pass_time(1.0)
        first.gate.pause()
        await cluster.pass_time(LEASE_SECONDS + 1.0)
        assert row.id in second.attendance.in_grace
        first.gate.resume()
        await cluster.pass_time(3 * LONG)
        assert not await self.is_canceled(cluster, row)
        first.attendance.depart(row.id, is_told=False)
        await cluster.pass_time(GRACE_SECONDS + TICKS)
        assert await self.is_canceled(cluster, row)
