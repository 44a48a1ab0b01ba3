"""The rules for settling a prediction with an unknown outcome, over the store in memory."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from halley.bus.local import LocalBus
from halley.errors import Conflict, InputInvalid, ProviderBusy, SubmitLimitReached, VersionUnknown, WrongState
from halley.models.catalog import Catalog
from halley.models.records import Model, Version
from halley.predictions.hints import Changed, Hint, WorkWaits
from halley.predictions.inputs import InputCheck
from halley.predictions.ports import NewPrediction
from halley.predictions.records import Prediction
from halley.predictions.status import Fact, SubmitState
from halley.predictions.unknown_outcomes import RetryCheck, UnknownOutcomes
from halley.store.memory import MemoryStore
from halley.testing.stores.maker import LEASE_SECONDS, VERSION, Maker

pytestmark = pytest.mark.anyio

DOCUMENT = msgspec.json.encode(
    {
        "components": {
            "schemas": {
                "Input": {
                    "type": "object",
                    "properties": {
                        "text": {"type": "string"},
                        "key": {"type": "string", "format": "password", "x-cog-secret": True},
                    },
                },
                "Output": {"type": "string"},
            }
        }
    }
)


class Service:
    """A service with one run; `is_busy`: it cannot be asked."""

    is_busy = False

    def names(self) -> list[str]:
        return ["up", "other"]

    async def has_run(self, provider: str, upstream_id: str) -> bool:
        if self.is_busy:
            raise ProviderBusy("no answer")
        return provider in self.names() and upstream_id == "run-1"

    async def other_model(self, provider: str, upstream_id: str, version: str) -> str | None:
        del provider, upstream_id, version
        return None


class Limits:
    """Implements SubmitLimits."""

    is_reached = False

    def has_limit(self, version: str) -> bool:
        del version
        return True

    async def check(self, version: str) -> None:
        del version
        if self.is_reached:
            raise SubmitLimitReached("as many as it may")


class World:
    """The outcomes, and what they use."""

    def __init__(self) -> None:
        self.maker = Maker()
        self.store = MemoryStore(clock=self.maker.clock)
        self.service, self.limits = Service(), Limits()
        self.hints: list[Hint] = []
        self.catalog = Catalog(self.store)
        bus = LocalBus()
        bus.subscribe(self.hints.append)
        self.outcomes = UnknownOutcomes(
            store=self.store,
            catalog=self.catalog,
            retry_check=RetryCheck(inputs=InputCheck(), submit_limits=self.limits),
            services=self.service,
            bus=bus,
            clock=self.maker.clock,
            new_id=self.maker.new_id,
        )

    async def lost(self, *, is_known: bool = True, work_input: bytes | None = None, **members: Any) -> Prediction:
        """A prediction whose outcome is unknown."""
        now = self.maker.clock.now()
        if is_known:
            model = Model(owner="demo", name="noop", created_at=now)
            version = Version(id=VERSION, model="demo/noop", created_at=now, openapi_schema=DOCUMENT)
            await self.catalog.register(model, version)
        row = self.maker.prediction(key_id="k1", **members)
        await self.store.create(NewPrediction(prediction=row, work_input=work_input))
        await self.store.open_session("s1", now, LEASE_SECONDS)
        (claimed,) = await self.store.claim("s1", {VERSION: 1}, now)
        await self.store.record_intent(claimed.lease, "up")
        await self.store.record_unknown(claimed.lease)
        await self.store.finish(claimed.lease, Fact.FAILED, now, error="lost")
        self.hints.clear()
        return await self.row(row.id)

    async def row(self, prediction_id: str) -> Prediction:
        row = await self.store.get(prediction_id)
        assert row is not None
        return row


async def test_the_one_that_continues_is_its_owners_and_has_its_webhook() -> None:
    world = World()
    deadline = world.maker.clock.now() + timedelta(seconds=60)
    members = {"webhook": "https://x.example/", "webhook_events_filter": ("completed",), "priority": 3}
    first = await world.lost(deadline_at=deadline, created_with_wait=True, cancel_abandoned=True, **members)
    settled = await world.outcomes.adopt(first.id, "run-1")
    linked = await world.row(settled.settlement.linked_id)
    kept = (
        "account_id",
        "key_id",
        "model",
        "version",
        "input",
        "source",
        "priority",
        "webhook",
        "webhook_events_filter",
    )
    assert [getattr(linked, name) for name in kept] == [getattr(first, name) for name in kept]
    assert (linked.provider, linked.handle, linked.submit_state) == ("up", "run-1", SubmitState.SUBMITTED)
    assert (linked.deadline_at, linked.created_with_wait, linked.cancel_abandoned) == (None, False, False)
    assert world.hints == [Changed(first.id), WorkWaits(VERSION)]
    assert (await world.outcomes.adopt(first.id, "run-1")).settlement == settled.settlement
    assert len(world.hints) == 2


async def test_a_run_that_was_found_is_not_settled_again_by_a_person_in_another_way() -> None:
    world = World()
    first = await world.lost()
    found = await world.outcomes.found(first.id, "up", "run-1")
    assert (found.is_new, found.settlement.how) == (True, "found")
    assert (await world.outcomes.adopt(first.id, "run-1")).settlement == found.settlement  # the same run
    for again in (world.outcomes.adopt(first.id, "run-2"), world.outcomes.adopt(first.id, "run-1", "other")):
        with pytest.raises(Conflict, match=found.settlement.linked_id):
            await again
    with pytest.raises(Conflict):
        await world.outcomes.retry(first.id)
    assert not (await world.outcomes.found(first.id, "up", "run-1")).is_new


async def test_what_a_person_has_submitted_again_is_not_continued_by_a_run_that_is_found() -> None:
    world = World()
    first = await world.lost()
    retried = await world.outcomes.retry(first.id)
    assert (await world.outcomes.retry(first.id)).settlement == retried.settlement
    linked = await world.row(retried.settlement.linked_id)
    assert (linked.submit_state, linked.handle, linked.input) == (None, None, first.input)
    with pytest.raises(Conflict, match="retried"):
        await world.outcomes.found(first.id, "up", "run-1")
    assert await world.store.waiting() == {VERSION: 1}


@pytest.mark.parametrize("shown", [b'{"text":"x","key":"[REDACTED]"}', b'{"key":"[REDACTED]"}'])
async def test_an_input_with_secrets_is_not_submitted_again_but_its_run_can_be_adopted(shown: bytes) -> None:
    world = World()
    first = await world.lost(input=shown, work_input=b'{"key":"s3cr3t"}')
    with pytest.raises(WrongState, match="its input has secrets"):
        await world.outcomes.retry(first.id)
    assert (await world.outcomes.adopt(first.id, "run-1")).is_new


async def test_removed_data_and_inputs_that_do_not_fit_any_more_are_not_submitted_again() -> None:
    world = World()
    removed, other = await world.lost(), await world.lost(input=b'{"text":7}')
    await world.store.remove_data([removed.id], world.maker.clock.now())
    with pytest.raises(WrongState, match="its input was removed"):
        await world.outcomes.retry(removed.id)
    with pytest.raises(InputInvalid, match=r"input\.text"):
        await world.outcomes.retry(other.id)
    assert await world.store.settlements([removed.id, other.id]) == {}


async def test_without_route_answer_or_quota_nothing_is_settled() -> None:
    world = World()
    first = await world.lost(is_known=False)
    for settling in (world.outcomes.adopt(first.id, "run-1"), world.outcomes.retry(first.id)):
        with pytest.raises(VersionUnknown):
            await settling
    first = await world.lost()
    world.service.is_busy = world.limits.is_reached = True
    with pytest.raises(ProviderBusy):
        await world.outcomes.adopt(first.id, "run-1")
    with pytest.raises(SubmitLimitReached):
        await world.outcomes.retry(first.id)
    assert await world.store.waiting() == {}
