"""Routes: which one a model has, what it is called there, and which provider takes a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.dispatch.breaker import FAILURES, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, UNCLEAR, Breaker
from halley.dispatch.durations import KEPT, Durations
from halley.dispatch.imported_models import MISS_SECONDS, MOST_MISSES, ImportedModels, read_schema
from halley.dispatch.retry_budget import RetryBudget
from halley.dispatch.route_table import ModelRoutes, origin_digest
from halley.dispatch.routed_providers import RoutedProviders, UpstreamPlace
from halley.dispatch.submit_quota import CountedSubmits
from halley.dispatch.submit_record import SubmitRecord
from halley.dispatch.upstreams import UpstreamModel, UpstreamReport, UpstreamTarget
from halley.errors import (
    InputInvalid,
    LeaseLost,
    OutcomeUnknown,
    Overloaded,
    ProviderBusy,
    SubmitRefused,
    Unusable,
    VersionUnknown,
)
from halley.models.catalog import Catalog
from halley.models.records import Model, Version
from halley.models.validation import UNCHECKED
from halley.predictions.inputs import InputCheck
from halley.settings import RouteSettings
from halley.store.memory import MemoryStore
from halley.testing.clock import T0, FakeClock

pytestmark = pytest.mark.anyio
SCHEMA = b'{"components":{"schemas":{"Input":{"type":"object","properties":{"n":{"type":"integer"}}},"Output":{}}}}'
OLD, NEW = "1" * 64, "2" * 64


def table(**more: Any) -> ModelRoutes:
    return ModelRoutes(
        {
            "acme/*": RouteSettings(providers=("a",), model="other/{name}-{owner}"),
            "acme/flux*": RouteSettings(providers=("b",)),
            "acme/flux-1.1": RouteSettings(providers=("local", "a", "b"), **more),
            "*/solo": RouteSettings(providers=("local",)),
        }
    )


@pytest.mark.parametrize(
    ("model", "pattern", "there"),
    [
        ("acme/flux-1.1", "acme/flux-1.1", "acme/flux-1.1"),
        ("acme/flux-2", "acme/flux*", "acme/flux-2"),
        ("acme/x", "acme/*", "other/x-acme"),
        ("you/solo", "*/solo", "you/solo"),
        ("you/x", None, None),
        ("acme/x/y", None, None),
        ("acme/flux-1x1", "acme/flux*", "acme/flux-1x1"),  # a dot is a dot
    ],
)
def test_an_exact_name_wins_over_the_longest_pattern(model: str, pattern: str | None, there: str | None) -> None:
    found = table().find(model)
    assert (found and found.pattern, found and found.there(model)) == (pattern, there)


def test_a_version_is_known_by_its_id_only_where_it_comes_from() -> None:
    routes = table()
    version = Version(
        id=OLD,
        model="acme/flux-1.1",
        created_at=T0,
        openapi_schema=SCHEMA,
        source_digest=origin_digest("a", "acme/flux-1.1", "v1"),
        provider="a",
    )
    assert routes.target(version, "a") == UpstreamTarget(model="acme/flux-1.1", version="v1")
    assert routes.target(version, "b") == UpstreamTarget(model="acme/flux-1.1")
    assert routes.target(version, "c") is None
    removed = UpstreamTarget(model="acme/flux-1.1", version="v1", is_former=True)
    assert ModelRoutes({}).target(version, "a") == removed
    assert ModelRoutes({}).target(version, "b") is None
    local = msgspec.structs.replace(version, source_digest="0" * 64, provider="local")
    assert routes.target(local, "a") == UpstreamTarget(model="acme/flux-1.1")
    hidden = msgspec.structs.replace(version, source_digest=origin_digest("a", "acme/flux-1.1", None))
    assert routes.target(hidden, "a") == UpstreamTarget(model="acme/flux-1.1")


class FakePlace:
    """A provider with slots, which notes what it is asked."""

    is_local = False
    wants_local_files = False

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.serving = self.loaded = True
        self.paused_seconds = 0.0
        self.in_flight = 0
        self.waits_for = ""
        self.asked: list[str] = []

    def serves(self, version: str) -> bool:
        del version
        return self.serving

    def is_loaded(self, version: str) -> bool:
        del version
        return self.loaded

    def free_slots(self, version: str) -> int:
        del version
        return self.slots

    def request_capacity(self, version: str, *, alone: bool = False) -> None:
        del alone
        self.asked.append(version)

    def take_slot(self, version: str, *, alone: bool = False) -> bool:
        del version, alone
        if not self.slots:
            return False
        self.slots -= 1
        return True

    def drop_slot(self, version: str, *, alone: bool = False) -> None:
        del version, alone
        self.slots += 1

    def report(self) -> UpstreamReport:
        return UpstreamReport(
            in_flight=self.in_flight, slots=1, paused_seconds=self.paused_seconds, waits_for=self.waits_for
        )


class Routed:
    """Routed providers: this machine, `a` and `b`."""

    def __init__(self, routes: ModelRoutes | None = None, **route: Any) -> None:
        self.clock = FakeClock()
        self.catalog = Catalog(MemoryStore(clock=self.clock))
        version = Version(id=NEW, model="acme/flux-1.1", created_at=T0, openapi_schema=SCHEMA)
        self.catalog.offer(version, is_latest=True)
        self.local, self.a, self.b = FakePlace(), FakePlace(), FakePlace()
        self.breaker = Breaker(self.clock)
        self.routed = RoutedProviders(self.catalog, routes or table(**route), local=self.local)  # type: ignore[arg-type]
        self.routed.places = {
            "a": UpstreamPlace(self.a, self.breaker),  # type: ignore[arg-type]
            "b": UpstreamPlace(self.b, Breaker(self.clock)),  # type: ignore[arg-type]
        }
        self.broken: list[tuple[str, str, str]] = []
        self.capacity: list[str] = []
        self.routed.listen(on_capacity=self.capacity.append, on_broken=lambda *said: self.broken.append(said))

    def take(self) -> str | None:
        """The provider whose slot is taken."""
        return self.routed.held(NEW).name if self.routed.of(NEW).take_slot(NEW) else None


def test_this_machine_comes_first_and_is_waited_for() -> None:
    here = Routed()
    assert (here.take(), here.take()) == ("local", None)
    here.routed.of(NEW).request_capacity(NEW)
    assert (here.local.asked, here.a.asked) == ([NEW], [])


def test_it_is_passed_over_when_too_many_predictions_wait() -> None:
    here = Routed(spill_over_queue=3)
    here.routed.note_waiting({NEW: 2})
    assert (here.take(), here.take()) == ("local", None)
    here.routed.note_waiting({NEW: 4})
    assert (here.take(), here.take(), here.take()) == ("a", "b", None)
    here.local.drop_slot(NEW)
    assert here.take() == "local"


def test_only_what_is_too_many_goes_elsewhere() -> None:
    here = Routed(spill_over_queue=3)
    here.local.slots, here.a.slots = 0, 9
    here.routed.note_waiting({NEW: 5})
    choice = here.routed.of(NEW)
    assert [choice.take_slot(NEW) for _ in range(4)] == [True, True, True, False]  # two wait for this machine
    assert here.a.slots == 6
    for _ in range(3):
        choice.drop_slot(NEW)
    assert [choice.take_slot(NEW) for _ in range(4)] == [True, True, True, False]  # none had begun
    here.routed.note_waiting({NEW: 2})
    assert not choice.take_slot(NEW)


def test_the_next_place_is_the_first_with_a_free_slot() -> None:
    here = Routed(spill_over_queue=3)
    assert here.routed.next_place(NEW) == "local"
    here.local.slots = 0
    assert here.routed.next_place(NEW) == "local", "it is waited for"
    here.routed.note_waiting({NEW: 9})
    assert here.routed.next_place(NEW) == "a"
    here.a.in_flight = 1
    assert here.routed.next_place(NEW) == "b"
    here.a.in_flight, here.a.waits_for = 0, "Its health is STARTING."
    assert here.routed.next_place(NEW) == "b"
    here.b.in_flight = 1
    assert here.routed.next_place(NEW) == "local"
    assert weighted(a=1, b=3).routed.next_place(NEW) == "b"


def test_it_is_passed_over_while_the_model_is_not_loaded() -> None:
    here = Routed(spill_over_unloaded=True)
    here.local.loaded = False
    assert here.take() == "a"
    here.local.loaded = True
    assert here.take() == "local"


def test_it_is_passed_over_if_it_does_not_have_the_model_or_cannot_run_it() -> None:
    here = Routed()
    here.local.serving = False
    assert here.take() == "a"
    here.local.serving = True
    here.routed.on_local_broken(NEW, "no module named x", "setup_failed")
    assert (here.broken, here.capacity) == ([], [NEW])
    assert here.take() == "b"
    assert "no module named x" in next(here.routed.verdicts(NEW)).why
    here.routed.on_local_capacity(NEW)
    assert here.take() == "local"
    here.routed.places = {}
    here.routed.on_local_broken(NEW, "no module named x", "setup_failed")
    assert here.broken == [(NEW, "no module named x", "setup_failed")]


def test_what_was_submitted_waits_for_a_provider_that_was_removed() -> None:
    here = Routed(ModelRoutes({"x/*": RouteSettings(providers=("b",))}))
    version = Version(id=OLD, model="acme/old", created_at=T0, openapi_schema=SCHEMA, provider="gone")
    here.catalog.offer(version, is_latest=True)
    here.routed.on_local_broken(OLD, "not served on this machine", "version_unavailable")
    assert here.broken == []
    assert here.routed.why_waiting(OLD) == "gone: no provider of this name is configured"
    here.routed.places = {}
    assert here.routed.why_waiting(OLD) == "gone: no provider of this name is configured"
    assert here.routed.why_waiting(NEW) is None


@pytest.mark.parametrize(
    "routes", [{"x/*": RouteSettings(providers=("b",))}, {"acme/*": RouteSettings(providers=("local",))}]
)
def test_what_runs_at_a_service_is_followed_although_its_route_was_removed(routes: dict[str, RouteSettings]) -> None:
    here = Routed(ModelRoutes(routes))
    version = Version(id=OLD, model="acme/old", created_at=T0, openapi_schema=SCHEMA, provider="a")
    here.catalog.offer(version, is_latest=True)
    quota = CountedSubmits(here.clock, 1)
    quota.note(3600.0)
    here.breaker.note_submit(is_clear=False)
    here.routed.places = {**here.routed.places, "a": UpstreamPlace(here.a, here.breaker, quota)}  # type: ignore[arg-type]
    assert here.routed.of(OLD).take_slot(OLD)
    held = here.routed.held(OLD)
    assert (held.name, held.quota, here.a.slots) == ("a", None, 0)
    assert [verdict.takes for verdict in here.routed.verdicts(OLD)] == [True]
    here.routed.of(OLD).request_capacity(OLD)
    assert (here.a.asked, here.local.asked, here.broken) == ([OLD], [], [])


def test_a_service_without_routes_is_left_alone_while_it_does_not_answer_or_asked_for_a_pause() -> None:
    here = Routed(ModelRoutes({"acme/flux*": RouteSettings(providers=("a",))}))
    here.catalog.offer(
        Version(id=OLD, model="acme/old", created_at=T0, openapi_schema=SCHEMA, provider="a"), is_latest=True
    )
    former, here.a.slots = here.routed.of(OLD), 9
    for _ in range(UNCLEAR):
        here.breaker.note_submit(is_clear=False)
    assert not former.take_slot(OLD)
    former.request_capacity(OLD)
    assert here.a.asked == []
    assert here.routed.why_waiting(OLD) == "a: it did not answer: it is tried again in 5 s"
    here.clock.advance(FIRST_PAUSE_SECONDS)
    assert former.take_slot(OLD)
    assert here.breaker.may_begin(), "an adoption is no probe"
    assert here.take() == "a"
    assert not former.take_slot(OLD)
    former.drop_slot(OLD)
    assert not here.breaker.may_begin(), "the probe is still on its way"
    here.breaker.note_submit(is_clear=True)
    here.a.paused_seconds = 30.0
    assert not former.take_slot(OLD)
    here.a.paused_seconds = 0.0
    assert former.take_slot(OLD)
    assert here.routed.why_waiting(OLD) is None


def test_a_provider_that_does_not_answer_is_passed_over_and_tried_again() -> None:
    here = Routed()
    here.local.serving = False
    here.a.slots = 9
    here.breaker.note(answered=False)
    assert here.take() == "b"  # it failed a moment ago: others come first
    assert here.take() == "a"  # but it is asked if there is no other
    for _ in range(FAILURES):
        here.breaker.note(answered=False)
    assert here.take() is None
    assert here.routed.why_waiting(NEW) is None  # as soon as `b` has a slot
    here.routed.places = {"a": here.routed.places["a"]}
    assert "a: it did not answer: it is tried again in 5 s" in (here.routed.why_waiting(NEW) or "")
    here.clock.advance(FIRST_PAUSE_SECONDS)
    choice = here.routed.of(NEW)
    assert choice.take_slot(NEW)
    assert not choice.take_slot(NEW)  # one run tries
    choice.drop_slot(NEW)
    assert here.take() == "a"
    here.breaker.note(answered=True)
    assert (here.take(), here.breaker.state) == ("a", "closed")


def test_a_provider_that_asked_for_a_pause_is_passed_over() -> None:
    here = Routed()
    here.local.serving = False
    here.a.paused_seconds = 30.0
    assert here.take() == "b"
    assert [verdict.takes for verdict in here.routed.verdicts(NEW)] == [False, False, True]


class Unasked(FakePlace):
    """It has no slots for a version before it is asked for them, as services have none for a route that is new."""

    def take_slot(self, version: str, *, alone: bool = False) -> bool:
        return bool(self.asked) and super().take_slot(version, alone=alone)


def test_a_provider_that_comes_before_others_gets_runs_although_none_waits() -> None:
    here = Routed()
    here.local.serving = False
    here.a = Unasked()
    here.routed.places = {
        "a": UpstreamPlace(here.a, here.breaker),  # type: ignore[arg-type]
        "b": here.routed.places["b"],
    }
    assert (here.take(), here.take(), here.take()) == ("a", "b", None)
    assert here.a.asked == [NEW, NEW, NEW]


def test_a_service_that_cannot_run_a_version_fails_none_that_another_one_may_run() -> None:
    here = Routed()
    here.local.serving = False
    fault = (NEW, "no such model", "setup_failed")
    here.routed.on_upstream_broken("a", *fault)
    here.routed.on_upstream_broken("a", *fault)
    assert here.broken == []
    here.routed.on_upstream_broken("b", *fault)
    assert here.broken == [fault]
    here.routed.on_upstream_capacity("a", NEW)
    here.routed.on_upstream_broken("b", *fault)
    assert (here.broken, here.capacity) == ([fault], [NEW])
    here.routed.on_upstream_broken("a", *fault)
    here.routed.forget_broken()
    here.routed.on_upstream_broken("b", *fault)
    assert here.broken == [fault, fault]
    here.local.serving = True
    here.routed.on_upstream_broken("a", *fault)
    assert here.broken == [fault, fault]


def test_what_takes_the_rest_of_the_slots_asks_for_no_more() -> None:
    here = Routed()
    here.local.serving = False
    choice = here.routed.of(NEW)
    assert [choice.take_slot(NEW) for _ in range(3)] == [True, True, False]
    assert here.a.asked == here.b.asked == []  # else each look at an empty queue would cause the next one


def test_a_service_that_is_not_ready_is_a_reason_to_wait_and_one_without_a_free_slot_is_none() -> None:
    here = Routed()
    here.local.serving = False
    here.a.waits_for = here.b.waits_for = "Its health is STARTING."
    why = "local: this machine has no such model; a: as soon as it is ready: Its health is STARTING.; b: as soon as"
    assert (here.routed.why_waiting(NEW) or "").startswith(why)
    here.b.waits_for, here.b.in_flight = "", 1
    assert here.routed.why_waiting(NEW) is None


def test_slots_that_are_not_used_go_back_to_whose_they_are() -> None:
    here = Routed(spill_over_queue=1)
    here.routed.note_waiting({NEW: 9})
    choice = here.routed.of(NEW)
    assert [choice.take_slot(NEW) for _ in range(4)] == [True, True, True, False]
    assert here.routed.held(NEW).name == "local"
    choice.drop_slot(NEW)
    choice.drop_slot(NEW)
    assert (here.local.slots, here.a.slots, here.b.slots) == (0, 1, 1)


def test_slots_that_were_taken_before_a_change_of_routes_go_back_to_whose_they_are() -> None:
    here = Routed()
    places, here.routed.places = here.routed.places, {}
    assert here.routed.of(NEW).take_slot(NEW)
    here.routed.places = places
    here.routed.of(NEW).drop_slot(NEW)
    assert here.local.slots == 1
    here.local.serving = False
    assert [here.routed.of(NEW).take_slot(NEW) for _ in range(2)] == [True, True]
    here.routed.places = {}
    here.local.serving = True
    here.routed.of(NEW).drop_slot(NEW)
    assert here.routed.held(NEW).name == "a"
    assert (here.local.slots, here.a.slots, here.b.slots) == (1, 0, 1)
    assert here.take() == "local", "nothing runs at a service that is not configured any more"


def weighted(slots: int = 99, **weights: int) -> Routed:
    """A route with weights, and places with so many slots."""
    here = Routed(ModelRoutes({"acme/*": RouteSettings(weights=weights)}))
    for place in (here.local, here.a, here.b):
        place.slots = slots
    return here


def test_runs_are_dealt_out_by_weights_in_a_fixed_order() -> None:
    here = weighted(local=1, a=3)
    assert [here.take() for _ in range(8)] == ["a", "local", "a", "a"] * 2
    here = weighted(a=5, b=1, local=1)
    assert [here.take() for _ in range(7)] == ["a", "a", "b", "a", "local", "a", "a"]


def test_what_a_place_cannot_take_goes_to_the_others_by_their_weights() -> None:
    here = weighted(local=1, a=3, b=2)
    here.a.paused_seconds = 30.0
    assert [here.take() for _ in range(6)].count("b") == 4
    here.a.paused_seconds = 0.0
    here.a.slots = 0
    here.a.asked.clear()
    assert [here.take() for _ in range(6)].count("b") == 4
    assert here.a.asked, "it is asked for capacity, because nobody waits for it"
    here.a.slots = 99
    assert [here.take() for _ in range(12)].count("a") in {6, 7}, "what it missed is not made up for"


def test_a_place_whose_limit_is_reached_gains_no_turns() -> None:
    here = weighted(a=1, b=1)
    quota = CountedSubmits(here.clock, 1)
    here.routed.places = {**here.routed.places, "a": here.routed.places["a"]._replace(quota=quota)}
    quota.learn(3600.0)
    assert [here.take() for _ in range(6)] == ["b"] * 6
    here.clock.advance(3600.0)
    assert [here.take() for _ in range(4)] == ["a", "b", "a", "b"]


def test_slots_that_are_not_used_give_their_turns_back() -> None:
    here = weighted(slots=4, local=1, a=3)
    choice = here.routed.of(NEW)
    for _ in range(3):
        taken = 0
        while choice.take_slot(NEW):
            taken += 1
        for _ in range(taken):
            choice.drop_slot(NEW)
    here.local.slots = here.a.slots = 99
    assert [here.take() for _ in range(4)] == ["a", "local", "a", "a"]


def test_with_weights_this_machine_is_passed_over_while_the_model_is_not_loaded() -> None:
    here = Routed(ModelRoutes({"acme/*": RouteSettings(weights={"local": 3, "a": 1}, spill_over_unloaded=True)}))
    here.a.slots = 9
    here.local.loaded = False
    assert here.take() == "a"
    here.local.loaded = True
    assert here.take() == "local"
    verdicts = list(here.routed.verdicts(NEW))
    assert [(verdict.provider, verdict.weight) for verdict in verdicts] == [("local", 3), ("a", 1)]


def test_weights_that_change_begin_anew() -> None:
    routes = ModelRoutes({"acme/*": RouteSettings(weights={"a": 1, "b": 1})})
    here = Routed(routes)
    here.a.slots = here.b.slots = 9
    assert here.take() == "a"
    routes.replace({"acme/*": RouteSettings(weights={"a": 2, "b": 1})})
    assert [here.take() for _ in range(3)] == ["a", "b", "a"]


def test_another_provider_with_a_free_slot_is_known() -> None:
    here = weighted(slots=1, a=1, b=1)
    assert here.routed.of(NEW).take_slot(NEW)
    slot = here.routed.held(NEW)
    assert slot.others is not None
    assert slot.others.have_free_slot()
    here.b.slots = 0
    here.a.slots = 9
    assert not slot.others.have_free_slot()
    assert slot.others.may_accept(), "later"


def test_a_service_whose_submits_come_to_nothing_is_passed_over() -> None:
    here = weighted(a=1, b=1)
    record = SubmitRecord(here.clock, here.breaker, retry_share=0.5)
    here.routed.places = {**here.routed.places, "a": here.routed.places["a"]._replace(record=record)}
    for _ in range(10):
        with pytest.raises(ProviderBusy), record.submitting():
            raise ProviderBusy("not now")
    here.clock.advance(FIRST_PAUSE_SECONDS)
    assert {here.take() for _ in range(4)} == {"b"}
    assert "retry_share" in here.routed.elsewhere("a").why
    here.clock.advance(5.0)
    assert {here.take() for _ in range(4)} == {"a", "b"}, "time allows one more"


def test_retries_are_a_share_of_what_was_accepted() -> None:
    clock = FakeClock()
    budget = RetryBudget(clock, 0.2)
    for _ in range(10):
        assert budget.why_not() is None
        budget.note_retry()
    assert budget.wait_seconds == pytest.approx(10.0)
    for _ in range(5):
        budget.note_accepted()
    assert budget.why_not() is None
    budget.note_retry()
    clock.advance(1e6)
    for _ in range(10):
        assert budget.why_not() is None
        budget.note_retry()
    assert budget.why_not() is not None, "a long time saves no more than the bucket holds"


def test_of_services_that_failed_a_moment_ago_the_first_to_fail_is_tried_first() -> None:
    here = weighted(a=1, b=1)
    here.breaker.avoid()
    assert here.take() == "b"
    here.clock.advance(1.0)
    here.routed.places["b"].breaker.avoid()
    assert {here.take() for _ in range(3)} == {"a"}
    here.clock.advance(1.0)
    here.breaker.avoid()
    assert {here.take() for _ in range(3)} == {"b"}


def test_what_was_not_asked_costs_no_retry() -> None:
    clock = FakeClock()
    record = SubmitRecord(clock, Breaker(clock), retry_share=0.0)
    for _ in range(20):
        with pytest.raises(ProviderBusy), record.submitting():
            raise ProviderBusy("It wants no requests now.", was_asked=False)
    assert record.retries.why_not() is None


def test_unclear_submits_open_the_breaker_and_only_a_submit_closes_it() -> None:
    clock = FakeClock()
    told: list[tuple[str, float]] = []
    breaker = Breaker(clock, on_change=lambda state, seconds: told.append((state, seconds)))
    record = SubmitRecord(clock, breaker, retry_share=0.2)
    for _ in range(UNCLEAR):
        assert breaker.state == "closed"
        with pytest.raises(OutcomeUnknown), record.submitting():
            breaker.note(answered=False)
            breaker.note(answered=True)  # it is looked for in a list, and that is answered
            raise OutcomeUnknown("lost")
    assert (breaker.state, breaker.opened) == ("open", 1)
    breaker.note(answered=True)
    assert breaker.state == "open", "polls say nothing about submits"
    clock.advance(FIRST_PAUSE_SECONDS)
    breaker.begin()
    with pytest.raises(OutcomeUnknown), record.submitting():
        raise OutcomeUnknown("lost")
    assert (breaker.state, breaker.pause_seconds) == ("open", 2 * FIRST_PAUSE_SECONDS)
    clock.advance(2 * FIRST_PAUSE_SECONDS)
    breaker.begin()
    with record.submitting():
        clock.advance(1.5)
    assert breaker.state == "closed"
    assert [state for state, _ in told] == ["open", "half_open", "open", "half_open", "closed"]
    assert record.submits.summary() == (1, 1.5, 1.5)


def test_durations_are_those_of_the_last_ones() -> None:
    durations = Durations()
    assert durations.summary() is None
    for number in range(1, 101):
        durations.note(float(number))
    assert durations.summary() == (100, 50.0, 95.0)
    for _ in range(KEPT):
        durations.note(7.0)
    assert durations.summary() == (KEPT, 7.0, 7.0)


def test_pauses_of_a_breaker_grow_to_a_limit_and_do_not_follow_the_wall_clock() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        assert breaker.state == "closed"
        breaker.note(answered=False)
    pauses = []
    for _ in range(8):
        assert breaker.state == "open"
        clock.jump(1e6)
        assert not breaker.may_begin()
        pauses.append(breaker.pause_seconds)
        clock.advance(breaker.pause_seconds)
        assert (breaker.state, breaker.may_begin()) == ("half_open", True)
        breaker.begin()
        assert not breaker.may_begin()
        breaker.note(answered=False)
    assert pauses[:4] == [5.0, 10.0, 20.0, 40.0]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    breaker.note(answered=True)
    assert breaker.may_begin()


def test_a_probe_whose_lease_is_lost_lets_another_try() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    record = SubmitRecord(clock, breaker, retry_share=0.2)
    for _ in range(FAILURES):
        breaker.note(answered=False)
    clock.advance(breaker.pause_seconds)
    breaker.begin()
    with pytest.raises(LeaseLost), record.submitting():
        raise LeaseLost("another worker has it")
    assert breaker.may_begin()


def test_a_probe_that_was_never_sent_proves_nothing() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    record = SubmitRecord(clock, breaker, retry_share=0.2)
    for _ in range(UNCLEAR):
        breaker.note_submit(is_clear=False)
    clock.advance(breaker.pause_seconds)
    breaker.begin()
    with pytest.raises(SubmitRefused), record.submitting():
        raise SubmitRefused("its input cannot be sent", was_asked=False)
    assert (breaker.state, breaker.may_begin()) == ("half_open", True)
    with pytest.raises(SubmitRefused), record.submitting():
        raise SubmitRefused("no credit")
    assert breaker.state == "closed"


class Source:
    """An upstream that tells its models."""

    def __init__(self) -> None:
        self.models: dict[str, list[UpstreamModel]] = {}
        self.busy = False
        self.has_each_version = False  # as one without a list of models
        self.asked: list[UpstreamTarget] = []

    def add(self, model: str, version: str | None, schema: bytes = SCHEMA) -> None:
        self.models.setdefault(model, []).append(UpstreamModel(model=model, version=version, openapi_schema=schema))

    async def find_model(self, target: UpstreamTarget) -> UpstreamModel | None:
        self.asked.append(target)
        if self.busy:
            raise ProviderBusy("no answer")
        known = self.models.get(target.model, [])
        if target.version is None:
            return known[-1] if known else None
        if self.has_each_version:
            return UpstreamModel(model=target.model, version=target.version)
        return next((one for one in known if one.version == target.version), None)


class Imports:
    """A catalog with models of two upstreams."""

    def __init__(self, store: MemoryStore | None = None, **route: Any) -> None:
        self.clock = FakeClock()
        self.store = store or MemoryStore(clock=self.clock)
        self.catalog = Catalog(self.store)
        routes = {
            "acme/*": RouteSettings(providers=("a",), model="other/{name}"),
            "two/*": RouteSettings(providers=("local", "a", "b"), **route),
        }
        self.models = ImportedModels(self.catalog, self.store, ModelRoutes(routes), self.clock)
        self.a, self.b = Source(), Source()
        self.models.sources = {"a": self.a, "b": self.b}
        self.catalog.finder = self.models

    async def id_of(self, reference: str) -> str:
        return (await self.catalog.find(reference)).version.id


async def test_a_model_is_asked_for_when_it_is_named_and_stored() -> None:
    here = Imports()
    here.a.add("other/flux", NEW)
    found = (await here.catalog.find("acme/flux")).version
    assert (found.id, found.model, found.provider, found.openapi_schema) == (NEW, "acme/flux", "a", SCHEMA)
    assert await here.id_of("acme/flux") == await here.id_of(NEW) == await here.id_of(f"acme/flux:{NEW}") == NEW
    assert here.a.asked == [UpstreamTarget(model="other/flux")]
    again = Imports(here.store)  # after a restart, with the upstream away
    again.a.busy = True
    await again.models.load()
    assert await again.id_of("acme/flux") == NEW
    assert (await here.catalog.model("acme", "flux")) is not None


async def test_an_older_version_can_be_named_and_does_not_become_the_newest() -> None:
    here = Imports()
    here.a.add("other/flux", OLD)
    here.a.add("other/flux", NEW)
    assert await here.id_of(f"acme/flux:{OLD}") == OLD
    assert await here.id_of("acme/flux") == NEW
    model = await here.store.get_model("acme", "flux")
    assert model is not None
    assert model.latest_version_id == NEW
    assert [one.id for one in await here.store.list_versions("acme/flux")] != []


async def test_misses_are_remembered_for_a_moment_and_other_names_are_not_asked_for() -> None:
    here = Imports()
    for reference in ("acme/none", "acme/none", "you/flux", f"you/flux:{OLD}", OLD, "acme/flux/x", "../acme"):
        with pytest.raises(VersionUnknown):
            await here.id_of(reference)
    assert here.a.asked == [UpstreamTarget(model="other/none")]
    here.a.add("other/none", NEW)
    here.clock.advance(MISS_SECONDS)
    assert await here.id_of("acme/none") == NEW


async def test_a_program_that_guesses_names_does_not_use_up_the_limits_of_a_service() -> None:
    here = Imports()
    here.a.add("other/flux", NEW)
    here.a.add("other/later", OLD)
    assert await here.id_of("acme/flux") == NEW
    for number in range(MOST_MISSES + 20):
        with pytest.raises(VersionUnknown if number < MOST_MISSES else Overloaded):
            await here.id_of(f"acme/guess-{number}")
    assert len(here.a.asked) == MOST_MISSES + 1
    assert await here.id_of("acme/flux") == NEW  # what is known needs no question
    here.clock.advance(MISS_SECONDS)
    assert await here.id_of("acme/later") == OLD


async def test_a_service_that_has_each_model_does_not_fill_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halley.dispatch.imported_models.MOST_MODELS", 3)
    here = Imports()
    for number in range(4):
        here.a.add(f"other/{number}", None, b"")
    for number in range(3):
        await here.id_of(f"acme/{number}")
    with pytest.raises(Overloaded, match="no further ones"):
        await here.id_of("acme/3")
    assert await here.id_of("acme/0")
    again = Imports(here.store)
    again.a.models = here.a.models
    await again.models.load()
    with pytest.raises(Overloaded, match="no further ones"):
        await again.id_of("acme/3")
    assert len(await here.store.list_models()) == 3


async def test_a_service_that_has_each_version_does_not_fill_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halley.dispatch.imported_models.MOST_MODELS", 3)
    here = Imports()
    here.a.add("other/flux", None, b"")
    here.a.has_each_version = True
    await here.id_of("acme/flux")
    for number in range(2):
        await here.id_of(f"acme/flux:{number:064x}")
    with pytest.raises(Overloaded, match="no further ones"):
        await here.id_of(f"acme/flux:{2:064x}")
    assert await here.id_of("acme/flux")
    again = Imports(here.store)
    again.a.models, again.a.has_each_version = here.a.models, True
    await again.models.load()
    with pytest.raises(Overloaded, match="no further ones"):
        await again.id_of(f"acme/flux:{2:064x}")
    assert await again.id_of(f"acme/flux:{1:064x}") == f"{1:064x}"
    assert len(await here.store.list_versions("acme/flux")) == 3
    again.a.add("other/flux", NEW)  # the service itself has another one
    again.clock.advance(400)
    await again.id_of("acme/flux")
    await until(lambda: again.catalog.resolve("acme/flux").version.id == NEW)


async def test_a_version_that_can_have_no_id_here_is_not_asked_for_or_stored() -> None:
    here = Imports()
    here.a.add("other/flux", None, b"")
    here.a.has_each_version = True
    await here.id_of("acme/flux")
    with pytest.raises(VersionUnknown):
        await here.id_of("acme/flux:dp-1")
    assert len(await here.store.list_versions("acme/flux")) == len(here.a.asked) == 1


async def test_an_upstream_that_does_not_answer_is_no_miss() -> None:
    here = Imports()
    here.a.busy = True
    with pytest.raises(Overloaded, match="no answer"):
        await here.id_of("acme/flux")
    here.a.busy = False
    here.a.add("other/flux", NEW)
    assert await here.catalog.known_model("acme", "flux") is None
    assert await here.id_of("acme/flux") == NEW
    assert await here.catalog.known_model("acme", "flux") is not None


async def test_the_first_upstream_that_gives_a_schema_describes_the_model() -> None:
    here = Imports()
    here.a.add("two/flux", None, b"")
    here.b.add("two/flux", NEW)
    found = (await here.catalog.find("two/flux")).version
    assert (found.id, found.provider) == (NEW, "b")


async def test_without_any_schema_inputs_pass_unchecked() -> None:
    here = Imports()
    here.a.add("two/flux", None, b"")
    runnable = await here.catalog.find("two/flux")
    assert runnable.version.openapi_schema == UNCHECKED
    check = InputCheck(strict=True)
    found = await check.look(runnable, b'{"anything":[1,{"of":"it"}]}')
    check.refuse(runnable, found)
    assert found.shown is None


async def test_a_schema_that_cannot_be_used_is_as_none() -> None:
    here = Imports()
    here.a.add("two/flux", NEW, b'{"components":{}}')
    assert (await here.catalog.find("two/flux")).version.openapi_schema == UNCHECKED


async def test_a_route_may_have_the_schema(tmp_path: Path) -> None:
    (tmp_path / "flux.json").write_bytes(SCHEMA)
    here = Imports(schema=tmp_path / "flux.json")
    here.a.add("two/flux", None, b"")
    runnable = await here.catalog.find("two/flux")
    found = await InputCheck().look(runnable, b'{"n":"x"}')
    with pytest.raises(InputInvalid):
        InputCheck().refuse(runnable, found)
    (tmp_path / "flux.json").write_bytes(b"{}")
    with pytest.raises(Unusable, match=r"flux\.json"):
        read_schema(tmp_path / "flux.json")


async def test_a_newer_version_is_found_behind_the_answer() -> None:
    here = Imports()
    here.a.add("other/flux", OLD)
    assert await here.id_of("acme/flux") == OLD
    here.a.add("other/flux", NEW)
    here.clock.advance(600)
    assert await here.id_of("acme/flux") == OLD
    await until(lambda: here.catalog.resolve("acme/flux").version.id == NEW)
    here.a.busy = True
    here.clock.advance(600)
    assert await here.id_of("acme/flux") == NEW
    await here.models.close()


async def test_two_models_may_be_the_same_one_there() -> None:
    here = Imports()
    here.a.add("other/flux", NEW)
    here.a.add("two/flux", NEW)
    first, second = await here.catalog.find("acme/flux"), await here.catalog.find("two/flux")
    assert first.version.id == NEW
    assert second.version.id != NEW
    assert second.version.source_digest == origin_digest("a", "two/flux", NEW)


async def test_a_model_whose_route_was_removed_cannot_be_named() -> None:
    here = Imports()
    here.a.add("other/flux", NEW)
    assert await here.id_of("acme/flux") == NEW
    here.models.sources = {"b": here.b}
    for reference in ("acme/flux", NEW):
        with pytest.raises(VersionUnknown, match="route"):
            await here.id_of(reference)
    here.models.sources = {"a": here.a}
    assert await here.id_of("acme/flux") == NEW


async def test_a_model_of_this_machine_stays_the_newest() -> None:
    here = Imports()
    local = Version(id=OLD, model="two/flux", created_at=T0, openapi_schema=SCHEMA)
    await here.catalog.register(Model(owner="two", name="flux", created_at=T0), local)
    here.a.add("two/flux", NEW)
    assert await here.id_of("two/flux") == OLD
    assert here.a.asked == []
    assert await here.id_of(f"two/flux:{NEW}") == NEW
    assert await here.id_of("two/flux") == OLD


async def until(reached: Callable[[], bool]) -> None:
    import anyio

    with anyio.fail_after(60):
        while not reached():
            await anyio.sleep(0)
