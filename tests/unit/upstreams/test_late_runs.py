"""A run that its service shows only after the prediction has failed: it is found, and nothing is submitted for it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from halley.clock import SystemClock
from halley.dispatch.late_runs import AT_ONCE, NAMED_LOOKS, LatePlace, LateRuns
from halley.dispatch.ports import Work
from halley.dispatch.upstream_hooks import HookPlace, UpstreamHint
from halley.dispatch.upstreams import RunDescriber, RunFinder, UpstreamTarget
from halley.errors import ProviderBusy, SubmitRefused
from halley.ids import TimeOrderedIds
from halley.predictions.ports import NewPrediction
from halley.predictions.records import Prediction
from halley.predictions.settlements import Settled
from halley.predictions.status import Fact, SubmitState
from halley.predictions.submits import UNKNOWN_REASON
from halley.providers.cog.provider import CogProvider
from halley.providers.http_job.provider import JobProvider
from halley.providers.replicate.provider import ReplicateProvider
from halley.store.memory import MemoryStore
from halley.testing.providers import work_of
from halley.testing.replicate.faults import ServiceFault, says
from halley.testing.replicate.opening import Held, open_provider
from halley.testing.replicate.scripts import echo, fail
from halley.testing.replicate.server import serve
from halley.testing.replicate.service import FakeService, Style, kind_of
from halley.testing.stores.maker import Maker
from halley.testing.stores.settlements import UPSTREAM, unknown

pytestmark = pytest.mark.anyio

LISTING: tuple[Style, ...] = ("replicate", "halley")


def work(text: str = "abc") -> Work:
    return work_of("echo", text, TimeOrderedIds(SystemClock())())


# what the provider says


@pytest.mark.parametrize("style", LISTING)
async def test_the_one_run_with_our_input_is_found_by_reading_alone(style: Style) -> None:
    service, held = FakeService({"test/echo": echo}, style=style), Held()
    async with serve(service) as server, open_provider(server.url, style, held=held) as provider:
        assert await provider.find_begun(work(), 30.0) is None
        service.begin("test/echo", {"text": "other"})
        mine = service.begin("test/echo", {"text": "abc"})
        assert await provider.find_begun(work(), 30.0) == mine.id
        held.handles.add(mine.id)  # it is another prediction's
        assert await provider.find_begun(work(), 30.0) is None
    assert {kind_of(asked) for asked in service.asked} <= {"list", "model"}


@pytest.mark.parametrize("status", [400, 403, 422])
async def test_a_name_that_the_service_refuses_to_show_is_no_busy_service(status: int) -> None:
    service = FakeService({"test/echo": echo})
    async with serve(service) as server, open_provider(server.url, "replicate") as provider:
        service.begin("test/echo", {"text": "abc"})
        service.plan("read", says(status))
        assert await provider.find_begun(work(), 30.0, "of-its-backend") is None
        service.plan("read", says(503))
        with pytest.raises(ProviderBusy):
            await provider.find_begun(work(), 30.0, "of-its-backend")


async def test_what_could_be_another_is_not_it() -> None:
    service = FakeService({"test/echo": echo})
    async with serve(service) as server, open_provider(server.url, "replicate") as provider:
        service.begin("test/echo", {"text": "abc"})
        service.begin("test/echo", {"text": "abc", "default": 1})  # as a service may show ours
        assert await provider.find_begun(work(), 30.0) is None


async def test_a_run_that_began_after_the_prediction_had_ended_is_not_it() -> None:
    service = FakeService({"test/echo": echo})
    async with serve(service) as server, open_provider(server.url, "replicate") as provider:
        made = msgspec.structs.replace(work(), age_seconds=3600.0)
        service.begin("test/echo", {"text": "abc"})  # now: of another program
        assert await provider.find_begun(made, 30.0) is None
        service.ahead = timedelta(seconds=-3590)
        early = service.begin("test/echo", {"text": "abc"})
        service.ahead = timedelta()
        assert await provider.find_begun(made, 30.0) == early.id


async def test_a_service_without_a_list_can_say_whether_it_has_a_run() -> None:
    service = FakeService({"test/echo": echo}, style="cometapi")
    async with serve(service) as server, open_provider(server.url, "cometapi") as provider:
        run = service.begin("test/echo", {"text": "abc"})
        assert await provider.find_begun(work(), 30.0) is None
        assert [await provider.has_run(name) for name in (run.id, "absent", "../x", "")] == [True, False, False, False]
        assert isinstance(provider, RunFinder)


@pytest.mark.parametrize("style", ["replicate", "cometapi", "halley"])
async def test_a_service_says_of_which_model_a_run_is(style: Style) -> None:
    service = FakeService({"test/echo": echo, "test/fail": fail}, style=style)
    async with serve(service) as server, open_provider(server.url, style) as provider:
        run, other = (service.begin(model, {"text": "abc"}).id for model in ("test/echo", "test/fail"))
        assert isinstance(provider, RunDescriber)
        assert await provider.other_model(run, "echo") is None
        assert await provider.other_model(other, "echo") == "test/fail"
        assert await provider.other_model(other, "not routed any more") is None


def test_each_kind_of_service_can_be_asked() -> None:
    finders: tuple[type[RunFinder], ...] = (ReplicateProvider, JobProvider, CogProvider)  # mypy compares the signatures
    assert all(callable(finder.find_begun) for finder in finders)


# how often, and for what it is asked


class Finder:
    """Implements RunFinder: knows runs by the text of their input."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.handles: set[str] = set()
        self.may_share_run_ids = False
        self.busy: set[str] = set()
        self.absent: set[str] = set()
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def has_run(self, handle: str) -> bool:
        self.asked.append(handle)
        return handle in self.handles

    async def find_begun(self, work: Work, within_seconds: float, named: str | None = None) -> str | None:
        assert 0 <= within_seconds <= work.age_seconds
        text = named or str(msgspec.json.decode(work.input)["text"])
        self.asked.append(text)
        if self.error is not None:
            raise self.error
        if text in self.busy:
            raise ProviderBusy("It cannot be asked for this one.")
        if named is not None:
            return None if named in self.absent else named
        return self.runs.get(text)


class World:
    def __init__(self) -> None:
        self.maker, self.finder = Maker(), Finder()
        self.store = MemoryStore(clock=self.maker.clock)
        self.late = self.late_at(self.finder)

    def late_at(self, finder: RunFinder) -> LateRuns:
        place = LatePlace(UPSTREAM, finder, 3600.0)
        return LateRuns(lambda: [place], self.store, self.found, self.maker.clock)

    async def found(self, prediction_id: str, provider: str, upstream_id: str) -> Settled:
        row = self.maker.prediction(provider=provider, handle=upstream_id, submit_state=SubmitState.SUBMITTED)
        return await self.store.settle(prediction_id, NewPrediction(prediction=row), "found")

    async def lost(self, text: str, **members: Any) -> Prediction:
        return await unknown(self.store, self.maker, input=msgspec.json.encode({"text": text}), **members)

    async def look(self, seconds: float = 0.0) -> Sequence[str]:
        """What was asked for in a look after so many seconds."""
        self.maker.clock.advance(seconds)
        self.finder.asked.clear()
        await self.late.look()
        return list(self.finder.asked)

    async def how(self, row: Prediction) -> str | None:
        found = await self.store.settlements([row.id])
        return found[row.id].how if row.id in found else None


async def test_it_is_found_late_and_once() -> None:
    world = World()
    first, other = await world.lost("a"), await world.lost("b")
    assert await world.look() == ["a", "b"]
    world.finder.runs["a"] = "run-1"
    assert await world.look(59) == []
    assert await world.look(2) == ["a", "b"]
    assert (await world.how(first), await world.how(other)) == ("found", None)
    assert await world.look(121) == ["b"]
    assert (await world.store.waiting()) == {first.version: 1}


async def test_it_is_looked_for_less_and_less_and_not_for_ever() -> None:
    world = World()
    await world.lost("a")
    looks = [n for n in range(0, 7200, 30) if await world.look(30)]
    assert looks == [0, 60, 180, 420, 900, 1800, 2700, 3570][: len(looks)]
    assert 6 <= len(looks) <= 8


async def test_a_run_that_the_service_had_lost_is_followed_when_it_is_known_again() -> None:
    world = World()
    row = await world.lost("a", handle="h1")
    assert await world.look() == ["h1"]
    world.finder.handles.add("h1")
    assert await world.look(61) == ["h1"]
    assert await world.how(row) == "found"


async def test_an_id_of_a_service_that_counts_its_runs_is_not_looked_up_later() -> None:
    world = World()
    world.finder.may_share_run_ids = True
    await world.lost("a", handle="7")
    world.finder.handles.add("7")  # it may have another address now, and this be another run
    assert await world.look() == []


async def test_equal_requests_are_left_to_a_person() -> None:
    world = World()
    rows = [await world.lost("a"), await world.lost("a")]
    world.finder.runs["a"] = "run-1"
    assert await world.look() == []
    await world.store.settle(rows[0].id, world.maker.new(), "retried")
    assert await world.look(61) == ["a"]


async def test_what_is_still_being_submitted_counts_as_equal() -> None:
    world = World()
    await world.lost("a")
    row = world.maker.prediction(input=b'{ "text": "a"}')
    await world.store.create(NewPrediction(prediction=row))
    (claimed,) = await world.store.claim("s1", {row.version: 1}, world.maker.clock.now())
    await world.store.record_intent(claimed.lease, UPSTREAM)
    assert await world.look() == []


async def test_nothing_is_looked_for_that_its_owner_does_not_expect_or_that_cannot_be_compared() -> None:
    world = World()
    removed = await world.lost("a")
    await world.store.remove_data([removed.id], world.maker.clock.now())
    await world.lost("[REDACTED]")
    await world.store.create(NewPrediction(prediction=(row := world.maker.prediction(input=b'{"text":"c"}'))))
    (claimed,) = await world.store.claim("s1", {row.version: 1}, world.maker.clock.now())
    await world.store.record_intent(claimed.lease, UPSTREAM)
    await world.store.cancel(row.id, None, world.maker.clock.now())
    await world.store.record_unknown(claimed.lease)
    await world.store.finish(claimed.lease, Fact.FAILED, world.maker.clock.now(), reason=UNKNOWN_REASON)
    assert await world.look() == []


async def test_a_webhook_that_comes_late_names_the_run() -> None:
    world = World()
    rows = [await world.lost("a"), await world.lost("a"), await world.lost("b")]
    assert await world.look() == ["b"]
    world.late.take(UpstreamHint(place=HookPlace(rows[1].id, 1, "back"), upstream_id="run-2"))
    world.late.take(UpstreamHint(place=HookPlace("0" * 26, 1, "back"), upstream_id="run-9"))
    world.late.take(UpstreamHint(place=HookPlace(rows[2].id, 1, "back")))
    assert await world.look() == ["run-2"]
    assert [await world.how(row) for row in rows] == [None, "found", None]


async def test_what_a_webhook_names_is_kept_until_the_service_can_be_asked() -> None:
    world = World()
    rows = [await world.lost("a"), await world.lost("a")]
    world.finder.error = ProviderBusy("not now")
    world.late.take(UpstreamHint(place=HookPlace(rows[1].id, 1, "back"), upstream_id="run-2"))
    assert [await world.look(30) for _ in range(3)] == [["run-2"], [], ["run-2"]]
    world.finder.error = None
    assert [await world.look(120), await world.look(30)] == [["run-2"], []]
    assert [await world.how(row) for row in rows] == [None, "found"]


async def test_a_run_that_a_webhook_names_is_checked_at_its_service() -> None:
    service, held = FakeService({"test/echo": echo}), Held()
    async with serve(service) as server, open_provider(server.url, "replicate", held=held) as provider:
        theirs, mine = service.begin("test/echo", {"text": "other"}), service.begin("test/echo", {"text": "abc"})
        found = [await provider.find_begun(work(), 30.0, named) for named in (theirs.id, "absent", "../x", mine.id)]
        assert found == [None, None, None, mine.id]
        service.plan("read", says(503))
        with pytest.raises(ProviderBusy, match="503"):
            await provider.find_begun(work(), 30.0, mine.id)
        held.handles.add(mine.id)
        assert await provider.find_begun(work(), 30.0, mine.id) is None


@pytest.mark.parametrize("style", ["replicate", "cometapi", "halley"])
async def test_a_run_that_a_webhook_names_is_not_given_up_while_its_service_is_out_of_order(style: Style) -> None:
    world, service = World(), FakeService({"test/echo": echo}, style=style)
    rows = [await world.lost("abc") for _ in range(2)]
    links = {"find_target": lambda _: UpstreamTarget(model="test/echo")}
    async with serve(service) as server, open_provider(server.url, style, dependencies=links) as provider:
        late = world.late_at(provider)
        named = service.begin("test/echo", {"text": "abc"})
        service.plan("read", says(503), ServiceFault(cut="answer"), says(404), says(404))
        late.take(UpstreamHint(place=HookPlace(rows[1].id, 1, "back"), upstream_id=named.id))
        for seconds in (0, 60, 120, 240):
            world.maker.clock.advance(seconds)
            await late.look()
            assert [await world.how(row) for row in rows] == [None, None]
        world.maker.clock.advance(480)
        await late.look()
    assert [await world.how(row) for row in rows] == [None, "found"]


async def test_a_name_that_the_service_does_not_know_does_not_keep_its_run_from_being_found() -> None:
    world = World()
    row = await world.lost("a")
    world.finder.absent.add("of-its-backend")
    world.late.take(UpstreamHint(place=HookPlace(row.id, 1, "back"), upstream_id="of-its-backend"))
    world.finder.runs["a"] = "run-1"
    assert [await world.look(500) for _ in range(4)] == [*[["of-its-backend"]] * NAMED_LOOKS, ["a"]]
    assert await world.how(row) == "found"


async def test_a_name_is_asked_for_at_once_and_then_less_and_less_however_often_it_comes() -> None:
    world = World()
    row = await world.lost("a")
    for _ in range(5):
        await world.look(300)
    world.finder.error = ProviderBusy("not now")
    await world.lost("b")
    looks = []
    for n in range(0, 600, 30):
        world.late.take(UpstreamHint(place=HookPlace(row.id, 1, "back"), upstream_id="run-1"))
        if "run-1" in await world.look(30):
            looks.append(n)
    assert looks == [0, 60, 180, 420]


async def test_names_of_runs_that_are_not_looked_for_leave_room_for_others() -> None:
    world = World()
    row = await world.lost("a")
    for n in range(1000):  # as most are: the end of their runs was seen
        world.late.take(UpstreamHint(place=HookPlace(f"{n:026d}", 1, "back"), upstream_id="run-9"))
    assert await world.look() == ["a"]
    world.late.take(UpstreamHint(place=HookPlace(row.id, 1, "back"), upstream_id="run-1"))
    assert await world.look() == ["run-1"]


async def test_no_run_hides_those_after_it() -> None:
    world = World()
    rows = [await world.lost(str(n)) for n in range(40)]
    world.finder.busy = {"run-0", *(str(n) for n in range(1, 39))}  # such as a page of a model that answers 403
    world.finder.runs["39"] = "run-39"
    world.late.take(UpstreamHint(place=HookPlace(rows[0].id, 1, "back"), upstream_id="run-0"))
    asked = [one for _ in range(60) for one in await world.look(30)]
    assert set(asked) == {"run-0", *(str(n) for n in range(1, 40))}
    assert await world.how(rows[39]) == "found"


async def test_a_turn_is_bounded_and_a_service_that_does_not_answer_is_left_alone() -> None:
    world = World()
    for n in range(AT_ONCE + 2):
        await world.lost(str(n))
    assert len(await world.look()) == AT_ONCE
    assert len(await world.look()) == 2
    world.finder.error = ProviderBusy("no answer")
    assert len(await world.look(61)) == 1
    world.finder.error = OverflowError("an answer that cannot be read")
    assert len(await world.look()) == AT_ONCE
    assert len(await world.look()) == 1
    world.finder.error = SubmitRefused("there is no such model any more")
    assert len(await world.look(121)) == AT_ONCE
