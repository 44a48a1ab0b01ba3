"""The contract of predictions if several processes share a store."""

import asyncio
from datetime import timedelta
from typing import Final

import pytest

from halley.api.waiting import change_poller
from halley.dispatch import worker
from halley.dispatch.ports import Emit, Outcome, Work
from halley.errors import KeyReused
from halley.predictions.repeats import IdempotencyKey
from halley.predictions.status import EventKind, Status
from halley.testing.two_nodes.cluster import ACCOUNT, KNOWN, OTHER, STEP_SECONDS, Cluster, ClusterSuite
from halley.testing.two_nodes.nodes import HEARTBEAT_SECONDS, LEASE_SECONDS, UNOFFERED_SECONDS
from halley.testing.upstream import RemoteProvider, Upstream

WORKER_POLL: Final = worker.POLL_SECONDS + STEP_SECONDS
HEARTBEAT_AND_STEP: Final = HEARTBEAT_SECONDS + 2 * STEP_SECONDS  # the last renewal is at most so old
API_POLL: Final = change_poller.POLL_SECONDS + STEP_SECONDS


@pytest.mark.anyio
class SharedWorkContract(ClusterSuite):
    """Predictions of one API server run at any worker, and every API server sees them."""

    async def test_a_prediction_of_one_server_runs_elsewhere_and_both_see_its_end(self, cluster: Cluster) -> None:
        await cluster.workers[1].open([KNOWN])
        await cluster.pass_time(STEP_SECONDS)  # it has polled, and found nothing
        made = await cluster.create(api=0)
        waiters = [await api.wait(made.id, ACCOUNT) for api in cluster.apis]
        provider = cluster.workers[1].provider
        await cluster.until(lambda: bool(provider.runs), WORKER_POLL)
        assert not any(waiter.done() for waiter in waiters)
        provider.runs[0].end()
        await cluster.settle()
        assert (await cluster.row(made.id)).status is Status.SUCCEEDED
        await cluster.until(lambda: all(waiter.done() for waiter in waiters), API_POLL)
        assert {waiter.result().status for waiter in waiters} == {Status.SUCCEEDED}

    async def test_two_workers_share_the_work_and_nothing_runs_twice(self, cluster: Cluster) -> None:
        made = [await cluster.create(api=number % 2) for number in range(8)]
        for each in cluster.workers:
            await each.open([KNOWN])
        runs = [each.provider.runs for each in cluster.workers]
        await cluster.until(lambda: sum(map(len, runs)) == len(made), WORKER_POLL)
        assert [len(some) for some in runs] == [4, 4], "each has four slots"
        for run in (*runs[0], *runs[1]):
            run.end()
        await cluster.pass_time(WORKER_POLL)
        assert sum(map(len, runs)) == len(made)
        assert {(await cluster.row(one.id)).status for one in made} == {Status.SUCCEEDED}

    async def test_a_cancel_at_one_server_stops_the_run_elsewhere(self, cluster: Cluster) -> None:
        await cluster.workers[1].open([KNOWN])
        made = await cluster.create(api=0)
        provider = cluster.workers[1].provider
        await cluster.until(lambda: bool(provider.runs), WORKER_POLL)
        waiter = await cluster.apis[1].wait(made.id, ACCOUNT)
        canceled = await cluster.apis[0].predictions.cancel(made.id, ACCOUNT)
        assert canceled.status is Status.CANCELED
        await cluster.until(provider.runs[0].canceled.is_set, WORKER_POLL)
        await cluster.until(waiter.done, API_POLL)
        assert (await cluster.row(made.id)).status is Status.CANCELED

    async def test_a_worker_leaves_unknown_versions_to_others(self, cluster: Cluster) -> None:
        made = await cluster.create(version=OTHER)
        await cluster.workers[0].open([KNOWN])
        await cluster.pass_time(UNOFFERED_SECONDS - 2 * STEP_SECONDS)
        assert set(cluster.workers[0].reported) == {OTHER}
        assert (await cluster.row(made.id)).status is Status.STARTING, "failed by a worker that does not know it"
        await cluster.workers[1].open([OTHER])
        provider = cluster.workers[1].provider
        await cluster.until(lambda: bool(provider.runs), WORKER_POLL)
        provider.runs[0].end()
        assert (await cluster.until_ended(made.id, 1.0)).status is Status.SUCCEEDED

    async def test_the_work_of_a_dead_worker_is_taken_back_once_and_runs_again(self, cluster: Cluster) -> None:
        first, second = cluster.workers
        await first.open([KNOWN])
        made = await cluster.create(api=1)
        await cluster.until(lambda: bool(first.provider.runs), WORKER_POLL)
        await second.open([KNOWN])
        first.die()
        await cluster.pass_time(LEASE_SECONDS - HEARTBEAT_AND_STEP)
        assert await cluster.count(made.id, EventKind.ATTEMPT_LOST) == 0
        await cluster.until(lambda: bool(second.provider.runs), 2 * LEASE_SECONDS)
        second.provider.runs[0].end(Outcome(status="succeeded"))
        row = await cluster.until_ended(made.id, 1.0)
        assert (row.status, row.attempts) == (Status.SUCCEEDED, 2)
        await cluster.pass_time(2 * LEASE_SECONDS)
        assert await cluster.count(made.id, EventKind.ATTEMPT_LOST) == 1
        assert await cluster.count(made.id, EventKind.FINISHED) == 1

    async def test_a_worker_that_was_paused_for_too_long_reports_nothing(self, cluster: Cluster) -> None:
        first, second = cluster.workers
        await first.open([KNOWN])
        made = await cluster.create()
        await cluster.until(lambda: bool(first.provider.runs), WORKER_POLL)
        first.gate.pause()
        await second.open([KNOWN])
        await cluster.until(lambda: bool(second.provider.runs), 3 * LEASE_SECONDS)
        first.provider.runs[0].end(Outcome(status="failed", error="late"))
        first.gate.resume()
        await cluster.settle()
        assert not (await cluster.row(made.id)).is_terminal
        second.provider.runs[0].end()
        assert (await cluster.until_ended(made.id, 1.0)).status is Status.SUCCEEDED
        another = await cluster.create()  # the paused one has opened another session, and works again
        await cluster.until(lambda: len(first.provider.runs) + len(second.provider.runs) == 3, 2 * WORKER_POLL)
        assert not (await cluster.row(another.id)).is_terminal

    async def test_a_submitted_prediction_is_adopted_and_never_submitted_twice(self, cluster: Cluster) -> None:
        """The first worker dies after the upstream accepted it, and before its answer was stored."""
        may_end = asyncio.Event()

        async def run(work: Work, emit: Emit) -> Outcome:
            del work, emit
            await may_end.wait()
            return Outcome(status="succeeded")

        upstream = Upstream({KNOWN: run})
        first, second = [cluster.add_worker(store, RemoteProvider(upstream, {KNOWN: 1})) for store in (0, 1)]
        first.gate.hold("record_handle")
        await first.open([KNOWN])
        made = await cluster.create()
        await cluster.until(lambda: "record_handle" in first.gate.held, WORKER_POLL)
        first.die()
        await second.open([KNOWN])
        may_end.set()
        row = await cluster.until_ended(made.id, 3 * LEASE_SECONDS)
        assert upstream.submits[made.id] == 1, "handed over twice"
        assert row.status is Status.SUCCEEDED

    # repeats

    async def test_one_key_at_both_servers_makes_one_prediction(self, cluster: Cluster) -> None:
        key = IdempotencyKey(key="k", digest=b"1" * 32, expires_at=cluster.clock.now() + timedelta(hours=1))
        made = await asyncio.gather(*[cluster.create(api=number % 2, key=key) for number in range(6)])
        assert len({one.id for one in made}) == 1
        assert await cluster.stores[1].waiting() == {KNOWN: 1}
        other = IdempotencyKey(key="k", digest=b"2" * 32, expires_at=key.expires_at)
        for api in (0, 1):
            with pytest.raises(KeyReused):
                await cluster.create(api=api, key=other)
