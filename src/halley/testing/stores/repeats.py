"""The promises of `predictions.repeats.RepeatStore`, and of `PredictionStore.create` about idempotency keys."""

import asyncio
from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest

from halley.errors import KeyReused, QueueFull
from halley.predictions.ports import NewPrediction
from halley.predictions.records import Prediction
from halley.predictions.repeats import IdempotencyKey
from halley.predictions.status import EventKind, Fact, Kind, Source, Status
from halley.store.ports import Store
from halley.testing.stores.maker import (
    LEASE_SECONDS,
    VERSION,
    Maker,
    StoreSuite,
    data_of,
    kinds_of,
    row_of,
    running,
)

ASKED: Final = b"\x01" * 32
OTHERWISE: Final = b"\x02" * 32
LIFE_SECONDS: Final = 60.0


def under(maker: Maker, key: str, account_id: str = "anna", *, digest: bytes = ASKED) -> NewPrediction:
    """A new create with a key."""
    prediction = maker.prediction(account_id)
    expires_at = prediction.created_at + timedelta(seconds=LIFE_SECONDS)
    key_of_it = IdempotencyKey(key=key, digest=digest, expires_at=expires_at)
    return NewPrediction(prediction=prediction, idempotency=key_of_it)


@pytest.mark.anyio
class RepeatStoreContract(StoreSuite):
    """What every implementation of `RepeatStore` must do."""

    # keys

    async def test_a_key_makes_one_prediction(self, store: Store, maker: Maker) -> None:
        first = await store.create(under(maker, "k"))
        assert not first.replayed
        second = under(maker, "k")
        again = await store.create(second)
        assert again.replayed
        assert again.prediction == first.prediction
        assert await store.get(second.prediction.id) is None
        assert await kinds_of(store, first.prediction.id) == [EventKind.CREATED]
        assert await store.waiting() == {VERSION: 1}
        earlier = await store.made_under("anna", "k", maker.clock.now())
        assert earlier is not None
        assert (earlier.prediction, earlier.digest) == (first.prediction, ASKED)

    async def test_creates_under_one_key_at_the_same_time_make_one(self, store: Store, maker: Maker) -> None:
        created = await asyncio.gather(*[store.create(under(maker, "k")) for _ in range(20)])
        assert len({one.prediction.id for one in created}) == 1
        assert [one.replayed for one in created].count(False) == 1

    async def test_a_replay_leases_nothing_and_shows_how_it_is_now(self, store: Store, maker: Maker) -> None:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        new = msgspec.structs.replace(under(maker, "k"), session_id="s1")
        first = await store.create(new)
        assert first.lease is not None
        again = await store.create(msgspec.structs.replace(under(maker, "k"), session_id="s1"))
        assert (again.replayed, again.lease) == (True, None)
        await store.finish(first.lease, Fact.FAILED, maker.clock.now(), error="it broke")
        assert (await store.create(under(maker, "k"))).prediction.status is Status.FAILED

    async def test_a_key_is_refused_for_another_request(self, store: Store, maker: Maker) -> None:
        first = await store.create(under(maker, "k"))
        second = under(maker, "k", digest=OTHERWISE)
        with pytest.raises(KeyReused, match=first.prediction.id):
            await store.create(second)
        assert await store.get(second.prediction.id) is None
        assert await store.waiting() == {VERSION: 1}

    async def test_accounts_do_not_share_keys(self, store: Store, maker: Maker) -> None:
        first = await store.create(under(maker, "k"))
        second = await store.create(under(maker, "k", "bert", digest=OTHERWISE))
        assert not second.replayed
        assert second.prediction.id != first.prediction.id
        assert await store.made_under("carl", "k", maker.clock.now()) is None

    async def test_an_expired_key_is_free(self, store: Store, maker: Maker) -> None:
        first = await store.create(under(maker, "k"))
        maker.clock.advance(LIFE_SECONDS)
        assert await store.made_under("anna", "k", maker.clock.now()) is None
        second = await store.create(under(maker, "k", digest=OTHERWISE))
        assert not second.replayed
        assert second.prediction.id != first.prediction.id
        earlier = await store.made_under("anna", "k", maker.clock.now())
        assert earlier is not None
        assert (earlier.prediction.id, earlier.digest) == (second.prediction.id, OTHERWISE)

    async def test_a_create_that_fails_leaves_its_key_free(self, small_store: Store, maker: Maker) -> None:
        waiting = [(await small_store.create(maker.new())).prediction.id for _ in range(2)]
        with pytest.raises(QueueFull):
            await small_store.create(under(maker, "k"))
        assert await small_store.made_under("anna", "k", maker.clock.now()) is None
        await small_store.cancel(waiting[0], "anna", maker.clock.now())
        assert not (await small_store.create(under(maker, "k", digest=OTHERWISE))).replayed

    async def test_a_replay_needs_no_room(self, small_store: Store, maker: Maker) -> None:
        first = await small_store.create(under(maker, "k"))
        await small_store.create(maker.new())
        assert (await small_store.create(under(maker, "k"))).prediction == first.prediction

    async def test_expired_keys_are_forgotten_in_portions(self, store: Store, maker: Maker) -> None:
        for number in range(5):
            await store.create(under(maker, f"k{number}"))
        maker.clock.advance(LIFE_SECONDS)
        await store.create(under(maker, "young"))
        now = maker.clock.now()
        assert [await store.forget_idempotency_keys(now, 3) for _ in range(3)] == [3, 2, 0]
        assert await store.made_under("anna", "young", now) is not None

    # what is equal

    async def test_equal_creates_are_found_newest_first(self, store: Store, maker: Maker) -> None:
        made = [(await store.create(maker.new(key_id="k1"))).prediction for _ in range(3)]
        wanted = maker.prediction(key_id="k1")
        found = await store.find_equal(wanted, made[0].created_at, maker.clock.now())
        assert [one.id for one in found] == [one.id for one in reversed(made)]
        found = await store.find_equal(wanted, made[1].created_at, made[1].created_at)
        assert [one.id for one in found] == [made[1].id]

    async def test_an_ended_one_is_as_equal_as_a_running_one(self, store: Store, maker: Maker) -> None:
        ended = await running(store, maker, "s1", key_id="k1")
        await store.finish(ended, Fact.SUCCEEDED, maker.clock.now(), events=[maker.output("x")])
        other = await running(store, maker, "s2", key_id="k1")
        found = await store.find_equal(maker.prediction(key_id="k1"), *everything(maker))
        assert [(one.id, one.status) for one in found] == [
            (other.prediction_id, Status.PROCESSING),
            (ended.prediction_id, Status.SUCCEEDED),
        ]

    @pytest.mark.parametrize(
        "change",
        [
            {"account_id": "bert"},
            {"key_id": "k2"},
            {"key_id": None},
            {"kind": Kind.TRAINING},
            {"version": "c" * 64},
            {"deployment": "team/fast"},
            {"source": Source.WEB},
            {"input": b'{"text":"hell0"}'},
            {"input": b'{"text": "hello"}'},
            {"webhook": "https://example.com/other"},
            {"webhook": None},
            {"webhook_events_filter": ("start",)},
            {"webhook_events_filter": ()},
            {"deadline": 61.0},
            {"deadline": None},
        ],
        ids=lambda change: next(iter(change.items())),
    )
    async def test_another_word_is_another_create(self, store: Store, maker: Maker, change: dict[str, Any]) -> None:
        first = asked(maker)
        await store.create(NewPrediction(prediction=first))
        assert await store.find_equal(asked(maker), *everything(maker)) == [first]
        assert await store.find_equal(asked(maker, **change), *everything(maker)) == []

    async def test_how_it_is_waited_for_makes_no_difference(self, store: Store, maker: Maker) -> None:
        first = asked(maker, created_with_wait=True)
        await store.create(NewPrediction(prediction=first))
        assert await store.find_equal(asked(maker), *everything(maker)) == [first]

    # noting

    async def test_a_repeat_is_counted_and_recorded(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        before = await row_of(store, lease.prediction_id)
        noted = await store.note_repeat(lease.prediction_id, maker.clock.now(), "retry_counter")
        assert noted == await row_of(store, lease.prediction_id)
        assert noted == msgspec.structs.replace(before, revision=before.revision + 1, repeated_creates=1)
        await store.append_events(lease, [maker.said("x")])
        await store.note_repeat(lease.prediction_id, maker.clock.now(), "dropped_connection")
        finished = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())
        assert finished.prediction.repeated_creates == 2
        assert await row_of(store, lease.prediction_id) == finished.prediction
        events = await store.read_events(lease.prediction_id)
        assert data_of(events, EventKind.REPEATED) == ["retry_counter", "dropped_connection"]
        repeated = EventKind.REPEATED
        expected = [EventKind.CREATED, EventKind.STARTED, repeated, EventKind.LOGGED, repeated, EventKind.FINISHED]
        assert await kinds_of(store, lease.prediction_id) == expected

    async def test_what_has_ended_can_be_repeated(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        finished = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=[maker.output("x")])
        await row_of(store, lease.prediction_id)
        noted = await store.note_repeat(lease.prediction_id, maker.clock.now(), "retry_counter")
        before = finished.prediction
        assert noted == msgspec.structs.replace(before, revision=before.revision + 1, repeated_creates=1)
        assert await row_of(store, lease.prediction_id) == noted
        assert (await kinds_of(store, lease.prediction_id))[-2:] == [EventKind.FINISHED, EventKind.REPEATED]

    async def test_a_repeat_of_nothing_is_nothing(self, store: Store, maker: Maker) -> None:
        assert await store.note_repeat(maker.new_id(), maker.clock.now(), "retry_counter") is None


def asked(maker: Maker, *, deadline: float | None = 60.0, **members: Any) -> Prediction:
    """A prediction with every member that a create may have, created with the API key k1."""
    given: dict[str, Any] = {
        "account_id": "anna",
        "key_id": "k1",
        "webhook": "https://example.com/hook",
        "webhook_events_filter": ("start", "completed"),
        **members,
    }
    made = maker.prediction(**given)
    deadline_at = None if deadline is None else made.created_at + timedelta(seconds=deadline)
    return msgspec.structs.replace(made, deadline_at=deadline_at)


def everything(maker: Maker) -> tuple[Any, Any]:
    """From long ago until now."""
    return maker.clock.now() - timedelta(days=1), maker.clock.now()
