"""The contract of a store for cancels."""

import pytest

from halley.predictions.status import EventKind, Fact, Status
from halley.store.ports import Store
from halley.testing.stores.maker import (
    LEASE_SECONDS,
    VERSION,
    Maker,
    StoreSuite,
    kinds_of,
    row_of,
    running,
)


@pytest.mark.anyio
class CancelContract(StoreSuite):
    """Cancelling is final, repeatable, and only possible for the owner."""

    async def test_cancelling_what_waits_ends_it(self, store: Store, maker: Maker) -> None:
        created = (await store.create(maker.new())).prediction
        maker.clock.advance(2)
        answer = await store.cancel(created.id, "anna", maker.clock.now())
        assert answer is not None
        assert (answer.changed, answer.was_leased) == (True, False)
        row = answer.prediction
        assert row == await store.get(created.id)
        assert row.status is Status.CANCELED
        assert row.completed_at == row.cancel_requested_at == maker.clock.now()
        assert row.started_at is None
        assert row.revision > created.revision
        kinds = [EventKind.CREATED, EventKind.CANCEL_REQUESTED, EventKind.FINISHED]
        assert await kinds_of(store, row.id) == kinds
        assert await store.waiting() == {}
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        assert await store.claim("s1", {VERSION: 9}, maker.clock.now()) == []

    async def test_cancelling_what_runs_shows_what_it_said_so_far(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.part("a"), maker.said("line\n"), maker.metric("steps", 3)])
        answer = await store.cancel(lease.prediction_id, "anna", maker.clock.now())
        assert answer is not None
        assert (answer.changed, answer.was_leased) == (True, True)
        row = await row_of(store, lease.prediction_id)
        assert (row.status, row.output, row.logs) == (Status.CANCELED, b'["a"]', "line\n")
        assert row.metrics["steps"] == 3
        assert (await kinds_of(store, row.id))[-1] is EventKind.FINISHED

    async def test_cancelling_again_changes_nothing(self, store: Store, maker: Maker) -> None:
        created = (await store.create(maker.new())).prediction
        first = await store.cancel(created.id, "anna", maker.clock.now())
        maker.clock.advance(5)
        second = await store.cancel(created.id, None, maker.clock.now())
        assert first is not None
        assert second is not None
        assert not second.changed
        assert second.prediction == first.prediction

    async def test_cancelling_what_is_foreign_or_absent(self, store: Store, maker: Maker) -> None:
        created = (await store.create(maker.new("anna"))).prediction
        assert await store.cancel(created.id, "bert", maker.clock.now()) is None
        assert await store.cancel(maker.new_id(), None, maker.clock.now()) is None
        assert await store.get(created.id) == created

    async def test_what_succeeded_cannot_be_cancelled(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        done = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())
        answer = await store.cancel(lease.prediction_id, "anna", maker.clock.now())
        assert answer is not None
        assert not answer.changed
        assert answer.prediction == done.prediction

    @pytest.mark.parametrize("fact", [Fact.SUCCEEDED, Fact.FAILED])
    async def test_a_canceled_prediction_never_shows_another_status(
        self, store: Store, maker: Maker, fact: Fact
    ) -> None:
        lease = await running(store, maker)
        await store.cancel(lease.prediction_id, "anna", maker.clock.now())
        before = await row_of(store, lease.prediction_id)
        finished = await store.finish(lease, fact, maker.clock.now(), events=[maker.output("late")], error="late")
        assert not finished.applied
        assert finished.prediction == before == await store.get(lease.prediction_id)
        assert (await kinds_of(store, before.id)).count(EventKind.FINISHED) == 1
