"""A worker with two services: another one is tried only while nothing was submitted, and a stop waits only for runs
that it would end.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from halley.dispatch.breaker import FAILURES, Breaker
from halley.dispatch.ports import ProviderRouter, Work
from halley.dispatch.route_table import ModelRoutes
from halley.dispatch.routed_providers import RoutedProviders, UpstreamPlace
from halley.dispatch.submit_quota import LOOK_SECONDS, CountedSubmits, RouteLimits
from halley.dispatch.submit_record import REFUSED_SECONDS, SubmitRecord
from halley.dispatch.upstreams import UpstreamReport
from halley.errors import OutcomeUnknown, ProviderBusy, SubmitLimitReached, SubmitRefused
from halley.predictions.records import Prediction
from halley.predictions.status import EventKind, Status, SubmitState
from halley.settings import RouteSettings
from halley.testing.dispatch import ScriptedProvider
from unit.dispatch.conftest import Harness

pytestmark = pytest.mark.anyio
V = "1" * 64


class Service(ScriptedProvider):
    """A service elsewhere that is scripted."""

    def __init__(self) -> None:
        super().__init__(slots=2)
        self.is_local = False
        self.wants_local_files = False
        self.loses_runs_at_stop = False
        self.breaker: Breaker | None = None
        self.submits = 0
        self.answers = asyncio.Event()  # cleared: creates arrive, and are not answered
        self.answers.set()

    async def submit(self, work: Work) -> str:
        self.submits += 1
        if isinstance(self.refuses, ProviderBusy) and self.breaker is not None:
            self.breaker.note(answered=False)
        handle = await super().submit(work)
        await self.answers.wait()
        return handle

    def report(self) -> UpstreamReport:
        return UpstreamReport(in_flight=self.held, slots=self.slots)


class Local(ScriptedProvider):
    """This machine, without the model."""

    def serves(self, version: str) -> bool:
        del version
        return False

    def is_loaded(self, version: str) -> bool:
        del version
        return False


class Failover:
    """The harness with the services `a` and `b`, in this order. Each may get `most` predictions in a day."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.a, self.b = Service(), Service()
        self.harness = Harness(1, make_router=self.make_router)

    def make_router(self, harness: Harness) -> ProviderRouter:
        table = ModelRoutes({"demo/*": RouteSettings(providers=("local", "a", "b"))})
        routed = RoutedProviders(harness.catalog, table, local=Local())  # type: ignore[arg-type]
        self.a.breaker = Breaker(harness.clock)
        routed.places = {
            "a": self.place(harness, self.a, self.a.breaker),
            "b": self.place(harness, self.b, Breaker(harness.clock)),
        }
        self.routed = routed
        return routed

    def place(self, harness: Harness, service: Service, breaker: Breaker) -> UpstreamPlace:
        record = SubmitRecord(harness.clock, breaker, retry_share=0.2)
        return UpstreamPlace(service, breaker, self.quota(harness), record)  # type: ignore[arg-type]

    def quota(self, harness: Harness) -> CountedSubmits:
        return CountedSubmits(harness.clock, self.most)

    async def until_submitted(self, service: Service) -> None:
        for _ in range(200):
            if service.runs:
                return
            self.harness.worker.on_capacity(V)  # what waits behind a backoff need not wait for a poll
            await self.harness.pass_time(0.5)
        raise AssertionError("it was not submitted")

    async def until_stored(self, made: Prediction) -> Prediction:
        """The prediction, when the handle of its run is stored."""
        for _ in range(200):
            if (found := await self.row(made)).submit_state is SubmitState.SUBMITTED:
                return found
            await asyncio.sleep(0.002)
        raise AssertionError("its handle was not stored")

    async def row(self, made: Prediction) -> Prediction:
        found = await self.harness.store.get(made.id)
        assert found is not None
        return found


@pytest.fixture
async def failover(request: pytest.FixtureRequest) -> AsyncIterator[Failover]:
    made = Failover(getattr(request, "param", None))
    harness = made.harness
    await harness.catalog.register(harness.model, harness.version)
    await harness.maintainer.open()
    await harness.worker.open()
    harness.service = asyncio.gather(harness.worker.run(), harness.maintainer.run())
    yield made
    await harness.stop_hard()


async def test_a_service_that_cannot_take_it_is_passed_over(failover: Failover) -> None:
    failover.a.refuses = ProviderBusy("no connection")
    made = await failover.harness.create()
    await failover.until_submitted(failover.b)
    row = await failover.until_stored(made)
    assert (row.provider, failover.a.runs) == ("b", [])
    failover.b.runs[0].end()
    assert (await failover.harness.ended(made.id)).status is Status.SUCCEEDED
    assert (failover.a.held, failover.b.held) == (0, 0)
    (start,) = [one for one in await failover.harness.store.read_events(made.id) if one.kind is EventKind.STARTED]
    assert msgspec.json.decode(start.data) == {"provider": "b", "upstream_id": row.handle}


async def test_it_is_tried_elsewhere_at_once_and_in_the_same_place_later(failover: Failover) -> None:
    await failover.harness.create()
    await failover.until_submitted(failover.a)
    failover.a.refuses = ProviderBusy("no connection")
    made = [await failover.harness.create() for _ in range(3)]
    for _ in range(100):  # no time passes
        if len(failover.b.runs) == 2:
            break
        await asyncio.sleep(0.002)
    assert len(failover.b.runs) == 2, "both of its slots are used"
    failover.b.runs[0].end()
    failover.a.refuses = None
    for _ in range(100):
        if all([(await failover.row(one)).submit_state is SubmitState.SUBMITTED for one in made]):
            break
        failover.harness.worker.on_capacity(V)
        await failover.harness.pass_time(0.5)
    assert len(failover.a.runs) + len(failover.b.runs) == 4


async def test_a_service_that_refuses_because_of_itself_is_passed_over_for_a_while(failover: Failover) -> None:
    failover.a.refuses = SubmitRefused("402: no credit", is_of_place=True)
    made = await failover.harness.create()
    await failover.until_submitted(failover.b)
    assert (await failover.until_stored(made)).provider == "b"
    again = await failover.harness.create()
    assert (await failover.until_stored(again)).provider == "b"
    assert failover.a.submits == 1, "it is not asked again so soon"
    assert "a: it refused this model" not in (failover.routed.why_waiting(V) or "")
    assert next(one for one in failover.routed.verdicts(V) if one.provider == "a").detail == "402: no credit"
    for run in failover.b.runs:
        run.end()
    await failover.harness.ended(again.id)
    await failover.harness.pass_time(REFUSED_SECONDS)
    failover.a.refuses = None
    await failover.harness.create()
    await failover.until_submitted(failover.a)


async def test_what_a_service_says_about_an_input_is_told_to_no_other_account(failover: Failover) -> None:
    failover.a.refuses = SubmitRefused("403: 'a secret prompt' is against the rules", is_of_place=True)
    await failover.harness.create()
    await failover.until_submitted(failover.b)
    for _ in range(FAILURES):
        failover.routed.places["b"].breaker.note(answered=False)
    why = failover.routed.why_waiting(V) or ""
    assert "a: it refused this model" in why
    assert "secret" not in why


async def test_what_all_services_refuse_fails(failover: Failover) -> None:
    failover.a.refuses = failover.b.refuses = SubmitRefused("404: no such model", is_of_place=True)
    made = await failover.harness.create()
    for _ in range(100):
        if (await failover.row(made)).is_terminal:
            break
        failover.harness.worker.on_capacity(V)
        await failover.harness.pass_time(0.5)
    row = await failover.row(made)
    assert (row.status, row.termination_reason) == (Status.FAILED, "submit_refused")
    assert (failover.a.submits, failover.b.submits) == (1, 1)


async def test_a_refused_input_is_sent_nowhere_else(failover: Failover) -> None:
    failover.a.refuses = SubmitRefused("422: the prompt is too long")
    row = await failover.harness.ended((await failover.harness.create()).id)
    assert (row.termination_reason, failover.b.submits) == ("submit_refused", 0)


async def test_what_may_have_begun_is_submitted_nowhere_else(failover: Failover) -> None:
    failover.a.refuses = OutcomeUnknown("cut after the request")
    row = await failover.harness.ended((await failover.harness.create()).id)
    assert (row.status, row.termination_reason, row.provider) == (Status.FAILED, "upstream_outcome_unknown", "a")
    await failover.harness.pass_time(20.0)
    assert (failover.a.runs, failover.b.runs, failover.a.held) == ([], [], 0)


async def test_what_is_cut_off_by_its_time_limit_may_have_begun(failover: Failover) -> None:
    failover.a.answers.clear()
    made = await failover.harness.create()
    await failover.until_submitted(failover.a)
    await failover.harness.pass_time(61.0)
    row = await failover.harness.ended(made.id)
    assert (row.status, row.termination_reason) == (Status.FAILED, "upstream_outcome_unknown")
    assert row.submit_state is SubmitState.UNKNOWN


async def test_a_stop_does_not_wait_for_runs_elsewhere(failover: Failover) -> None:
    made = await failover.harness.create()
    await failover.until_submitted(failover.a)
    await failover.until_stored(made)
    await failover.harness.pass_time(1.0)
    await failover.harness.worker.drain(60.0)
    row = await failover.row(made)
    assert (row.status.is_terminal, row.submit_state) == (False, SubmitState.SUBMITTED)
    assert await failover.harness.store.waiting() == {V: 1}


async def test_a_stop_waits_for_runs_elsewhere_that_it_would_end(failover: Failover) -> None:
    failover.a.loses_runs_at_stop = True
    made = await failover.harness.create()
    await failover.until_submitted(failover.a)
    await failover.until_stored(made)
    draining = asyncio.ensure_future(failover.harness.worker.drain(60.0))
    await asyncio.sleep(0.05)
    assert not draining.done()
    failover.a.runs[0].end()
    await draining
    assert (await failover.row(made)).status is Status.SUCCEEDED


@pytest.mark.parametrize("failover", [1], indirect=True)
async def test_beyond_its_limit_of_a_day_a_service_is_passed_over_and_then_waited_for(failover: Failover) -> None:
    harness, limits = failover.harness, RouteLimits(failover.routed.limited, failover.harness.store)
    assert limits.has_limit(V)
    await limits.check(V)
    made = [await harness.create() for _ in range(3)]
    await failover.until_submitted(failover.b)
    await harness.pass_time(5.0)
    rows = [await failover.row(one) for one in made]
    assert sorted(row.provider for row in rows if row.submit_state is not None) == ["a", "b"]
    for service in (failover.a, failover.b):
        (run,) = service.runs
        run.end()
    for row in rows:
        if row.submit_state is not None:
            assert (await harness.ended(row.id)).status is Status.SUCCEEDED
    for _ in range(200):  # the last one is tried at both
        if failover.routed.why_waiting(V) is not None:
            break
        harness.worker.on_capacity(V)
        await harness.pass_time(0.5)
    (third,) = [await failover.row(row) for row in rows if row.submit_state is None]
    assert (third.status, third.submit_state) == (Status.STARTING, None)
    assert "a: its limit of 1 submits in 24 hours" in (failover.routed.why_waiting(V) or "")
    with pytest.raises(SubmitLimitReached, match=r"a: its limit .* 24 h; b: its limit"):
        await limits.check(V)
    assert (len(failover.a.runs), len(failover.b.runs), failover.a.held, failover.b.held) == (1, 1, 0, 0)


@pytest.mark.parametrize("failover", [1], indirect=True)
async def test_what_a_service_refused_does_not_count(failover: Failover) -> None:
    failover.a.refuses = SubmitRefused("no such model there")
    row = await failover.harness.ended((await failover.harness.create()).id)
    assert (row.status, row.termination_reason) == (Status.FAILED, "submit_refused")
    assert await failover.harness.store.count_submits(failover.harness.clock.now()) == {}
    failover.a.refuses = None
    await failover.harness.create()
    await failover.until_submitted(failover.a)


async def test_without_a_limit_submits_are_only_counted(failover: Failover) -> None:
    assert not RouteLimits(failover.routed.limited, failover.harness.store).has_limit(V)
    await failover.harness.create()
    await failover.until_submitted(failover.a)
    assert await failover.harness.store.count_submits(failover.harness.clock.now()) == {"a": 1}


@pytest.mark.parametrize("failover", [1], indirect=True)
async def test_a_limit_that_is_reached_keeps_no_run_from_being_adopted(failover: Failover) -> None:
    for place in failover.routed.places.values():
        assert place.quota is not None
        place.quota.learn(86_400.0)  # a create was refused
    assert "24 h" in (failover.routed.why_waiting(V) or "")
    assert [slot.name for slot in failover.routed.order(V)] == ["a", "b"], "a run that was begun may wait there"
    quota = failover.routed.places["b"].quota
    assert quota is not None
    quota.learn(0.0)
    assert [slot.name for slot in failover.routed.order(V)] == ["b", "a"], "what can be submitted goes there first"
    for place in failover.routed.places.values():
        assert place.quota is not None
        place.quota.note(86_400.0)  # what waited was no such run
    assert list(failover.routed.order(V)) == []
    for _ in range(int(LOOK_SECONDS)):
        failover.harness.clock.advance(1.0)
        for place in failover.routed.places.values():
            assert place.quota is not None
            place.quota.learn(86_400.0)  # other creates are refused meanwhile
    assert [slot.name for slot in failover.routed.order(V)] == ["a", "b"]
    assert "24 h" in (failover.routed.why_waiting(V) or "")
