"""Every status with every fact: the store does what the table says, and nothing else."""

from datetime import timedelta
from typing import assert_never

import pytest

from halley.errors import HalleyError
from halley.predictions.lifecycle import TRANSITIONS
from halley.predictions.queue import Lease
from halley.predictions.status import EventKind, Fact, Status
from halley.store.ports import Store
from halley.testing.stores.maker import Maker, StoreSuite, kinds_of, leased, on_duty, row_of

_DAY = 86_400.0


@pytest.mark.anyio
class LifecycleContract(StoreSuite):
    """The table of `predictions.lifecycle`, seen through the ports."""

    @pytest.mark.parametrize("status", list(Status))
    @pytest.mark.parametrize("fact", list(Fact))
    async def test_the_table_decides(self, store: Store, maker: Maker, status: Status, fact: Fact) -> None:
        lease = await leased(store, maker, deadline_at=maker.clock.now() + timedelta(seconds=60))
        await bring_to(store, maker, lease, status)
        before = await row_of(store, lease.prediction_id)
        assert before.status is status
        await let_happen(store, maker, lease, fact)
        after = await row_of(store, lease.prediction_id)
        assert after.status is TRANSITIONS.get((status, fact), status)
        if (status, fact) in TRANSITIONS:
            assert after.revision > before.revision
        elif (status, fact) != (Status.PROCESSING, Fact.STARTED):  # a second attempt reports it again
            assert after == before
        kinds = await kinds_of(store, after.id)
        assert kinds.count(EventKind.FINISHED) == int(after.is_terminal)


async def bring_to(store: Store, maker: Maker, lease: Lease, status: Status) -> None:
    """Bring a leased, unstarted prediction to this status; the lease stays if possible."""
    now = maker.clock.now()
    match status:
        case Status.STARTING:
            pass
        case Status.PROCESSING:
            await store.append_events(lease, [maker.started()])
        case Status.SUCCEEDED:
            await store.finish(lease, Fact.SUCCEEDED, now, events=[maker.started()])
        case Status.FAILED:
            await store.finish(lease, Fact.FAILED, now)
        case Status.CANCELED:
            await store.cancel(lease.prediction_id, None, now)
        case Status.ABORTED:
            await store.expire(await on_duty(store), now + timedelta(seconds=61), _DAY)
        case _:
            assert_never(status)


async def let_happen(store: Store, maker: Maker, lease: Lease, fact: Fact) -> None:
    """Report the fact to the store through its usual method."""
    now = maker.clock.now()
    try:
        if fact is Fact.STARTED:
            await store.append_events(lease, [maker.started()])
        elif fact is Fact.CANCEL_REQUESTED:
            await store.cancel(lease.prediction_id, None, now)
        elif fact is Fact.DEADLINE_PASSED:
            await store.expire(await on_duty(store), now + timedelta(seconds=61), _DAY)
        elif fact is Fact.QUEUE_TIME_PASSED:
            await store.release(lease, now)
            maker.clock.advance(30)
            await store.expire(await on_duty(store), maker.clock.now(), 10)
        else:
            await store.finish(lease, fact, now)
    except HalleyError:
        pass  # a refusal is allowed: the row is what counts
