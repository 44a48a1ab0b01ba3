"""Two maintainers on one store: one at a time acts, the other takes over, and a late one writes nothing."""

from typing import Final

import pytest

from halley.maintenance.maintainer import TURN_SECONDS
from halley.predictions.status import EventKind, Status
from halley.testing.two_nodes.cluster import KNOWN, OTHER, STEP_SECONDS, Cluster, ClusterSuite
from halley.testing.two_nodes.nodes import LEASE_SECONDS, UNOFFERED_SECONDS
from halley.testing.two_nodes.work import WORKER_POLL

TURN: Final = TURN_SECONDS + 2 * STEP_SECONDS


@pytest.mark.anyio
class MaintainersContract(ClusterSuite):
    """Exactly one process maintains, in every case."""

    async def test_one_of_two_maintains(self, cluster: Cluster) -> None:
        for _ in range(3):
            assert cluster.on_duty == [0]
            await cluster.pass_time(LEASE_SECONDS)

    async def test_the_other_one_takes_over_when_the_first_one_dies(self, cluster: Cluster) -> None:
        await cluster.workers[0].open([KNOWN])
        made = await cluster.create()
        await cluster.until(lambda: bool(cluster.workers[0].provider.runs), WORKER_POLL)
        first, second = cluster.maintainers
        first.die()
        cluster.workers[0].die()
        await cluster.pass_time(LEASE_SECONDS / 2)
        assert not second.maintainer.is_on_duty, "the lease of the first one is not over"
        await cluster.until(lambda: second.maintainer.is_on_duty, LEASE_SECONDS)
        await cluster.workers[1].open([KNOWN])
        await cluster.until(lambda: bool(cluster.workers[1].provider.runs), 2 * LEASE_SECONDS)
        assert await cluster.count(made.id, EventKind.ATTEMPT_LOST) == 1

    async def test_a_process_that_stops_lets_the_other_begin_at_once(self, cluster: Cluster) -> None:
        first, second = cluster.maintainers
        first.stop()
        await first.gone()
        await first.maintainer.release()
        await cluster.until(lambda: second.maintainer.is_on_duty, TURN)
        assert not first.maintainer.is_on_duty

    async def test_a_process_paused_before_a_write_does_not_write_it(self, cluster: Cluster) -> None:
        """It has decided to end predictions that no worker offers; when it continues, another maintains and a worker
        offers them.
        """
        first, second = cluster.maintainers
        made = await cluster.create(version=OTHER)
        first.gate.hold("fail_waiting")
        await cluster.until(lambda: "fail_waiting" in first.gate.held, UNOFFERED_SECONDS + TURN)
        cluster.workers[1].provider.slots = 0  # it waits for a slot
        await cluster.workers[1].open([OTHER])
        await cluster.until(lambda: second.maintainer.is_on_duty, LEASE_SECONDS + TURN)
        first.gate.resume()
        await cluster.pass_time(TURN)
        assert (await cluster.row(made.id)).status is Status.STARTING, "the late one has written"
        assert cluster.on_duty == [1]
        assert first.errors == []
        second.die()
        await cluster.until(lambda: first.maintainer.is_on_duty, LEASE_SECONDS + 2 * TURN)

    async def test_services_run_only_where_the_duty_is(self, cluster: Cluster) -> None:
        first, second = cluster.maintainers
        await cluster.until(lambda: first.is_serving, TURN)
        assert not second.terms
        first.gate.pause()
        await cluster.until(lambda: second.is_serving, LEASE_SECONDS + TURN)
        first.gate.resume()
        await cluster.until(lambda: not first.is_serving, TURN)
        second.die()
        await cluster.until(lambda: first.is_serving, LEASE_SECONDS + TURN)
        fences = [duty.fence for duty in (*first.terms, *second.terms) if duty is not None]
        assert len(first.terms) == 2, "anew for each term"
        assert len(set(fences)) == len(fences) == 3

    async def test_predictions_of_an_unoffered_version_end_after_a_time(self, cluster: Cluster) -> None:
        await cluster.workers[0].open([KNOWN])
        cluster.workers[0].provider.slots = 0
        offered, unoffered = await cluster.create(version=KNOWN), await cluster.create(version=OTHER)
        await cluster.pass_time(UNOFFERED_SECONDS - 2 * STEP_SECONDS)
        assert (await cluster.row(unoffered.id)).status is Status.STARTING
        row = await cluster.until_ended(unoffered.id, 2 * TURN)
        assert (row.status, row.termination_reason) == (Status.FAILED, "version_unavailable")
        assert (await cluster.row(offered.id)).status is Status.STARTING

    async def test_a_pause_of_all_costs_no_worker_its_session(self, cluster: Cluster) -> None:
        """The machine sleeps for longer than a lease: no process has died."""
        await cluster.workers[1].open([KNOWN])
        made = await cluster.create()
        provider = cluster.workers[1].provider
        await cluster.until(lambda: bool(provider.runs), WORKER_POLL)
        cluster.clock.suspend(10 * LEASE_SECONDS)
        await cluster.pass_time(2 * LEASE_SECONDS)
        assert await cluster.count(made.id, EventKind.ATTEMPT_LOST) == 0
        provider.runs[0].end()
        row = await cluster.until_ended(made.id, 1.0)
        assert (row.status, row.attempts) == (Status.SUCCEEDED, 1)
        assert len(cluster.on_duty) == 1
