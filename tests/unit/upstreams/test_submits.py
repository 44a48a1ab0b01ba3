"""A create under every fault: at most one run there for each prediction, and the truth about it here."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from halley.dispatch.ports import Work
from halley.dispatch.upstreams import UpstreamTarget
from halley.errors import HalleyError, OutcomeUnknown, ProviderBusy, SubmitRefused
from halley.ids import TimeOrderedIds
from halley.providers.replicate.provider import ReplicateProvider
from halley.testing.providers import Probe, work_of
from halley.testing.replicate.faults import HTML, ServiceFault, problem, says
from halley.testing.replicate.opening import Answers, Held, open_provider
from halley.testing.replicate.scripts import echo
from halley.testing.replicate.server import FakeServer, serve
from halley.testing.replicate.service import TOKEN, FakeRun, FakeService, Style, kind_of

pytestmark = pytest.mark.anyio

STYLES: tuple[Style, ...] = ("replicate", "cometapi", "halley")
CREATED = {"id": "abc", "status": "starting"}

ACTED = {  # the run was begun, and its answer lost
    "cut before the answer": ServiceFault(acts=True, cut="answer"),
    "cut in the answer": ServiceFault(acts=True, cut="middle"),
    "bad gateway": says(502, HTML, acts=True, kind="text/html"),
    "gateway timed out": says(504, HTML, acts=True, kind="text/html"),
    "timed out behind a proxy": says(524, HTML, acts=True, kind="text/html"),
    "broken": says(500, {"error": {"message": "boom"}}, acts=True),
    "unavailable": says(503, b"", acts=True),
    "a page": says(200, HTML, acts=True, kind="text/html"),
    "truncated": says(201, b'{"id": "ab', acts=True),
    "moved": says(301, b"", acts=True, location="https://www.example.com/login"),
    "request timed out": says(408, b"", acts=True),
}
MAY_HAVE_ACTED = {name: ServiceFault(raw=fault.raw, cut=fault.cut) for name, fault in ACTED.items()} | {
    "cut in the request": ServiceFault(cut="body"),
}
NOT_BEGUN: dict[str, tuple[ServiceFault, type[Exception]]] = {
    "throttled": (says(429, {"retry_after": 1}), ProviderBusy),
    "malformed": (says(400, {"detail": "no"}), SubmitRefused),
    "token revoked": (says(401, {"detail": "no"}), SubmitRefused),
    "no credit": (says(402, {"detail": "no"}), SubmitRefused),
    "firewall": (says(403, HTML), SubmitRefused),
    "invalid": (says(422, {"detail": "no"}), SubmitRefused),
}


class World:
    def __init__(self, provider: ReplicateProvider, service: FakeService, server: FakeServer) -> None:
        self.provider, self.service, self.server = provider, service, server

    @property
    def posts(self) -> int:
        return sum(kind_of(asked) == "create" for asked in self.service.asked)


@asynccontextmanager
async def world(style: Style, **options: Any) -> AsyncIterator[World]:
    service = FakeService({"test/echo": echo}, style=style)
    async with serve(service) as server, open_provider(server.url, style, **options) as provider:
        yield World(provider, service, server)


def work(prediction_id: str = "p1", text: str = "abc") -> Work:
    return work_of("echo", text, prediction_id)


@pytest.mark.parametrize("style", STYLES)
async def test_a_create_is_one_request_with_the_token_and_our_key(style: Style) -> None:
    async with world(style) as here:
        handle = await here.provider.submit(work())
        [asked] = here.service.asked
        assert handle in here.service.runs
        assert (asked.method, asked.path) == ("POST", "/v1/models/test/echo/predictions")
        assert asked.headers["authorization"] == f"Bearer {TOKEN}"
        assert ("idempotency-key" in asked.headers) == (style == "halley")
        assert asked.body == b'{"input":{"text":"abc"}}'


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ACTED)
async def test_a_run_whose_answer_was_lost_is_found_or_unknown(style: Style, name: str) -> None:
    async with world(style) as here:
        here.service.plan("create", ACTED[name])
        try:
            handle = await here.provider.submit(work())
        except OutcomeUnknown:
            assert style == "cometapi"
            assert here.provider.report().unknown == 1
            assert here.posts == 1
        else:
            assert style != "cometapi"
            assert list(here.service.runs) == [handle]
        assert sum(here.service.creates.values()) == 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", MAY_HAVE_ACTED)
async def test_a_run_that_was_not_begun_is_tried_again_only_where_that_is_proven(style: Style, name: str) -> None:
    async with world(style) as here:
        here.service.plan("create", MAY_HAVE_ACTED[name])
        try:
            await here.provider.submit(work())
        except ProviderBusy:
            assert style == "replicate"  # its list shows that there is none
        except OutcomeUnknown:
            assert style == "cometapi"
        else:
            assert style == "halley"  # the same key
        assert sum(here.service.creates.values()) == (style == "halley")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", NOT_BEGUN)
async def test_a_refusal_is_final_and_a_full_service_is_not(style: Style, name: str) -> None:
    fault, kind = NOT_BEGUN[name]
    async with world(style) as here:
        here.service.plan("create", fault)
        with pytest.raises(kind) as refused:
            await here.provider.submit(work())
        assert here.posts == 1
        assert here.provider.report().unknown == 0
        if isinstance(refused.value, SubmitRefused):
            assert refused.value.is_of_place == (name in {"token revoked", "no credit", "firewall", "no such model"})


async def test_what_only_one_kind_of_service_means_by_an_answer() -> None:
    async with world("cometapi") as here:
        here.service.plan("create", says(500, {"error": {"code": "invalid_request", "message": "prompt?"}}))
        with pytest.raises(SubmitRefused, match="prompt"):
            await here.provider.submit(work())
    async with world("halley") as here:
        here.service.plan("create", problem(503, "Service unavailable", "The queue is full."))
        with pytest.raises(ProviderBusy, match="queue is full"):
            await here.provider.submit(work())


@pytest.mark.parametrize("style", STYLES)
async def test_a_service_that_cannot_be_reached_was_sent_nothing(style: Style) -> None:
    answers = Answers()
    async with world(style) as first:
        url = first.server.url
    async with open_provider(url, style, dependencies={"answered": answers}) as provider:
        with pytest.raises(ProviderBusy):
            await provider.submit(work())
        assert provider.report().unknown == 0
    assert answers.heard == [False]


async def test_nothing_is_sent_while_the_service_wants_none() -> None:
    async with world("replicate") as here:
        here.service.plan("create", says(429, b"", retry_after="60"))
        with pytest.raises(ProviderBusy) as caught:
            await here.provider.submit(work())
        assert caught.value.retry_after_seconds == 60
        with pytest.raises(ProviderBusy):
            await here.provider.submit(work())
        assert here.posts == 1
        assert 50 < here.provider.report().paused_seconds <= 60


async def test_no_slot_is_free_for_what_the_service_would_refuse() -> None:
    async with world("replicate") as here:
        told: list[str] = []
        here.provider.listen(on_capacity=told.append, on_broken=lambda *_: None)
        here.provider.request_capacity("echo")
        here.service.plan(
            "create", ServiceFault(acts=True, headers={"x-ratelimit-remaining": "2", "x-ratelimit-reset": "30"})
        )
        assert here.provider.take_slot("echo")
        await here.provider.submit(work())
        assert here.provider.free_slots("echo") == 2
        assert [here.provider.take_slot("echo") for _ in range(3)] == [True, True, False]
        here.provider.request_capacity("echo")
        told.clear()
        await here.provider.submit(msgspec.structs.replace(work(), prediction_id="other"))
        await asyncio.sleep(0)
        assert told == ["echo"], "its answer says that there is room for more"
        assert here.provider.report().bucket is not None


@pytest.mark.parametrize("style", STYLES)
async def test_after_a_restart_it_is_found_begun_or_unknown(style: Style) -> None:
    async with world(style) as here:
        here.service.plan("create", ServiceFault(acts=True, cut="answer"))
        lost = asyncio.ensure_future(here.provider.submit(work()))
        while not here.service.runs:
            await asyncio.sleep(0)
        lost.cancel()  # our process died
        await asyncio.gather(lost, return_exceptions=True)
        async with open_provider(here.server.url, style) as again:
            try:
                assert await again.adopt(work(), None) == next(iter(here.service.runs))
            except OutcomeUnknown:
                assert style == "cometapi"
        assert len(here.service.runs) == 1


async def test_a_run_of_another_prediction_is_not_taken() -> None:
    held = Held()
    async with world("replicate", held=held) as here:
        held.handles.add(here.service.begin("test/echo", {"text": "abc"}).id)  # stored with another prediction
        mine = await here.provider.submit(work("p2"))  # of this process, and not stored yet
        assert await here.provider.adopt(work("p3"), None) is None
        await here.provider.submit(work("p3"))
        assert len(here.service.runs) == 3
        assert mine in here.service.runs


@pytest.mark.parametrize("hours", [-30, 0, 30])
async def test_clocks_that_are_apart_do_not_matter(hours: int) -> None:
    async with world("replicate") as here:
        here.service.ahead = timedelta(hours=hours, seconds=-60)
        here.service.begin("test/echo", {"text": "abc"})  # of another program, a minute ago
        here.service.ahead = timedelta(hours=hours)
        assert await here.provider.adopt(work(), None) is None
        here.service.plan("create", ServiceFault(acts=True, cut="answer"))
        handle = await here.provider.submit(work())
        assert handle == list(here.service.runs)[1]


class SetClock:
    """The machine's clock, as it is set by hours."""

    monotonic = staticmethod(time.monotonic)
    elapsed = staticmethod(time.monotonic)
    sleep = staticmethod(asyncio.sleep)

    def __init__(self, hours: float) -> None:
        self.hours = hours

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=self.hours)


@pytest.mark.parametrize("hours", [-1.0, 1.0])
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_clock_that_was_set_after_a_restart_does_not_matter(hours: float, is_known: bool) -> None:
    before, after = SetClock(hours), SetClock(0.0)
    made = work(TimeOrderedIds(before)())
    async with world("replicate", clock=before) as here:
        here.service.plan("create", ServiceFault(acts=True, cut="answer"))
        lost = asyncio.ensure_future(here.provider.submit(made))
        while not here.service.runs:
            await asyncio.sleep(0)
        lost.cancel()  # our process died
        await asyncio.gather(lost, return_exceptions=True)
        again = msgspec.structs.replace(made, age_seconds=5.0 if is_known else 0.0)
        async with open_provider(here.server.url, "replicate", clock=after) as provider:
            assert await provider.adopt(again, None) == next(iter(here.service.runs))


@pytest.mark.parametrize("hours", [-1.0, 1.0])
async def test_a_clock_that_is_set_while_it_is_looked_for_does_not_matter(hours: float) -> None:
    clock = SetClock(0.0)
    async with world("replicate", clock=clock) as here:
        here.service.plan("create", ServiceFault(acts=True, cut="answer"))
        lost = asyncio.ensure_future(here.provider.submit(work()))
        while not here.service.runs:
            await asyncio.sleep(0)
        clock.hours = hours
        assert await lost == next(iter(here.service.runs))


@pytest.mark.parametrize("style", STYLES)
async def test_a_run_of_this_process_whose_handle_could_not_be_stored_is_found(style: Style) -> None:
    async with world(style) as here:  # the lease was lost during the submit, and this process claims it again
        handle = await here.provider.submit(work())
        assert await here.provider.adopt(work(), None) == handle
        assert len(here.service.runs) == 1


@pytest.mark.parametrize("is_stored", [True, False])
async def test_the_id_of_another_prediction_is_no_answer(is_stored: bool) -> None:
    held = Held()
    async with world("replicate", held=held) as here:
        probe = Probe(here.provider)
        await probe.load("echo")
        slots = here.provider.free_slots("echo")
        first = await probe.begin("echo", prediction_id="p1")
        if is_stored:
            held.handles.add(first)
            await probe.follow(first)
        here.service.plan("create", says(201, {"id": first, "status": "starting"}))
        assert here.provider.take_slot("echo")
        with pytest.raises(OutcomeUnknown, match="another prediction"):
            await here.provider.submit(work("p2"))
        here.provider.drop_slot("echo")
        if not is_stored:
            assert (await probe.follow(first))[1].status == "succeeded"
        assert here.provider.free_slots("echo") == slots


async def test_a_run_is_adopted_by_one_prediction_at_a_time() -> None:
    async with world("replicate") as here:
        handle = await here.provider.submit(work("p1"))
        with pytest.raises(OutcomeUnknown, match="another prediction"):
            await here.provider.adopt(work("p2"), handle)
        assert await here.provider.adopt(work("p1"), handle) == handle


async def test_what_may_be_there_waits_for_its_route(caplog: pytest.LogCaptureFixture) -> None:
    async with world("replicate") as here:
        with pytest.raises(ProviderBusy, match="no route"):
            await here.provider.adopt(work_of("removed", "abc", "p1"), None)
        assert here.service.asked == []
    assert caplog.records == []


@pytest.mark.parametrize("style", STYLES)
async def test_without_its_route_a_run_is_adopted_and_none_is_begun(style: Style) -> None:
    former = UpstreamTarget(model="test/echo", is_former=True)
    async with world(style, dependencies={"find_target": lambda _: former}) as here:
        with pytest.raises(SubmitRefused, match="no route") as refused:
            await here.provider.submit(work("p1"))
        assert not refused.value.was_asked
        run = here.service.begin("test/echo", {"text": "abc"})
        assert await here.provider.adopt(work("p2"), run.id) == run.id
        with suppress(ProviderBusy, OutcomeUnknown):
            assert await here.provider.adopt(work("p3", "other"), None) is None
        assert (here.posts, len(here.service.runs)) == (0, 1)


async def test_a_run_whose_id_is_that_of_a_run_at_another_service_is_not_sent_again() -> None:
    held = Held()
    async with world("replicate", dependencies={"held": held.among}) as here:
        held.handles.add(f"{1:026d}")  # the other service counts its runs alike
        here.service.plan("create", ServiceFault(acts=True, cut="answer"))
        with pytest.raises(OutcomeUnknown, match="could be this one"):
            await here.provider.submit(work())
        assert here.posts == 1


async def test_what_may_not_be_sent_is_looked_for_in_the_list_and_not_by_its_key() -> None:
    async with world("halley") as here:
        made = msgspec.structs.replace(work(), may_send=lambda: False)
        assert await here.provider.adopt(made, None) is None
        run = here.service.begin("test/echo", {"text": "abc"})
        assert (await here.provider.adopt(made, None), here.posts) == (run.id, 0)


async def test_a_token_that_is_replaced_while_it_is_looked_for_proves_nothing() -> None:
    async with world("replicate", settle_seconds=0.5) as here:
        here.service.plan("create", ServiceFault(cut="answer"))
        lost = asyncio.ensure_future(here.provider.submit(work()))
        while not any(kind_of(asked) == "list" for asked in here.service.asked):
            await asyncio.sleep(0)
        here.provider.place = "of another account"  # which knows nothing of a run, nor of its key
        with pytest.raises(OutcomeUnknown, match="token was replaced"):
            await lost


@pytest.mark.parametrize("style", ["replicate", "halley"])
async def test_a_token_that_is_replaced_while_it_is_sent_proves_nothing_either(style: Style) -> None:
    async with world(style) as here:
        here.service.plan("create", ServiceFault(cut="answer", seconds=0.1))
        lost = asyncio.ensure_future(here.provider.submit(work()))
        while not here.posts:
            await asyncio.sleep(0)
        here.provider.place = "of another account"  # which knows nothing of a run, nor of its key
        with pytest.raises(OutcomeUnknown, match="token was replaced"):
            await lost
        assert (here.posts, len(here.service.runs), here.provider.report().unknown) == (1, 0, 1)


async def test_what_was_refused_under_its_key_is_refused_after_a_restart() -> None:
    async with world("halley") as here:
        here.service.plan("create", problem(422, "Input validation failed", "text is wrong"))
        with pytest.raises(SubmitRefused, match="text is wrong"):
            await here.provider.adopt(work(), None)


async def test_nothing_is_sent_when_the_lease_may_be_lost() -> None:
    async with world("replicate", rules={"data_url_bytes": 100}) as here:
        given = b'{"text": "data:text/plain;base64,%s"}' % (b"QUJD" * 100)
        made = msgspec.structs.replace(work(), input=given, may_send=lambda: not here.service.uploads)
        with pytest.raises(ProviderBusy, match="lease"):
            await here.provider.submit(made)
        assert (len(here.service.uploads), here.posts) == (1, 0)  # it was lost during the upload


async def test_two_that_could_be_it_stay_unknown() -> None:
    async with world("replicate") as here:
        for _ in range(2):
            here.service.begin("test/echo", {"text": "abc"})
        with pytest.raises(OutcomeUnknown, match="2 predictions"):
            await here.provider.adopt(work(), None)


@pytest.mark.parametrize(
    ("given", "is_certain"),
    [({"text": "abd"}, True), ({"text": "abc", "seed": 1}, False), ({"text": "[REDACTED]"}, False), ({}, False)],
)
async def test_one_that_looks_alike_stays_unknown(given: dict[str, Any], is_certain: bool) -> None:
    async with world("replicate") as here:
        here.service.models["test/echo"]({"text": "x"})
        here.service.begin("test/echo", {"text": "x"}).input = given
        if is_certain:
            assert await here.provider.adopt(work(), None) is None
        else:
            with pytest.raises(OutcomeUnknown):
                await here.provider.adopt(work(), None)


async def test_the_list_is_read_back_over_pages() -> None:
    async with world("replicate") as here:
        mine = here.service.begin("test/echo", {"text": "abc"})
        for number in range(4500):
            here.service.begin("test/echo", {"text": str(number)})
        assert await here.provider.adopt(work(), None) == mine.id
        assert {asked.headers["host"] for asked in here.service.asked} == {f"127.0.0.1:{here.server.port}"}


def row_of(run: FakeRun, seconds: float, **more: Any) -> dict[str, Any]:
    """A row of a list, of a run that was created so many seconds ago."""
    at = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    return {**run.shown(run.stages[0]), "created_at": at, **more}


OTHER_INPUT = {"text": "other"}
LISTS: dict[str, Callable[[FakeRun], list[dict[str, Any]]]] = {  # pages; the run is on the last, or only there
    "oldest first": lambda run: [
        {"results": [row_of(run, 900, id="old1", input=OTHER_INPUT), row_of(run, 800, id="old2", input=OTHER_INPUT)]},
        {"results": [row_of(run, 0)]},
    ],
    "one run on two pages at a time": lambda run: [{"results": [row_of(run, 0)]}] * 2,
    "a time without a zone": lambda run: [
        {"results": [row_of(run, 0, created_at=datetime.now(UTC).replace(tzinfo=None).isoformat())]}
    ],
    "times that are none": lambda run: [{"results": [row_of(run, 0, created_at=17), "no row", None]}],
    "pages by number": lambda run: [{"results": [], "next": "/v1/predictions?page=2"}],
    "pages without end": lambda run: [{"results": [], "next": "?cursor=again"}] * 60,
    "an address that is none": lambda run: [{"results": [], "next": "http://[::1"}],
    "an object for an address": lambda run: [{"results": [], "next": {"cursor": "x"}}],
    "an odd id": lambda run: [{"results": [row_of(run, 0, id="a/b")]}],
    "no id": lambda run: [{"results": [row_of(run, 0, id=None)]}],
}


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_in_another_order_or_form_never_proves_that_there_is_no_run(name: str) -> None:
    async with world("replicate") as here:
        run = here.service.begin("test/echo", {"text": "abc"})
        pages = LISTS[name](run)
        for number, page in enumerate(pages[:-1]):
            page.setdefault("next", f"https://api.replicate.com/v1/predictions?cursor={number + 1}")
        here.service.plan("list", *(says(200, page) for page in pages))
        try:
            assert await here.provider.adopt(work(), None) == run.id
        except OutcomeUnknown:
            assert "time" not in name


async def test_a_list_that_cannot_be_read_is_asked_again_later() -> None:
    async with world("replicate", rules={"look_seconds": 0.5}) as here:
        here.service.plan("list", *[says(502, HTML)] * 3)
        with pytest.raises(ProviderBusy):
            await here.provider.adopt(work(), None)


async def test_an_absent_run_is_looked_for_until_the_list_has_settled() -> None:
    async with world("replicate", settle_seconds=1.5) as here:
        finding = asyncio.ensure_future(here.provider.adopt(work(), None))
        while not here.service.asked:
            await asyncio.sleep(0)
        late = here.service.begin("test/echo", {"text": "abc"})
        assert await finding == late.id


async def test_a_stored_handle_is_asked_for() -> None:
    async with world("replicate") as here:
        run = here.service.begin("test/echo", {"text": "abc"})
        assert await here.provider.adopt(work(), run.id) == run.id
        assert await here.provider.adopt(work(), "forgotten") is None
        assert await here.provider.adopt(work(), "../models") is None
        here.service.plan("read", says(404, b""), says(404, HTML, kind="text/html"))
        assert await here.provider.adopt(work(), run.id) == run.id  # as patient as while it is followed
        here.service.plan("read", says(502, HTML))
        with pytest.raises(ProviderBusy):
            await here.provider.adopt(work(), run.id)


def echoing(status: int, text: str) -> ServiceFault:
    return says(status, {"detail": text}, kind="application/json")


async def submit(here: World) -> None:
    await here.provider.submit(work())


async def adopt(here: World) -> None:
    await here.provider.adopt(work(), "known")


async def look_for(here: World) -> None:
    await here.provider.adopt(work(), None)


async def find(here: World) -> None:
    await here.provider.find_model(UpstreamTarget(model="test/echo"))


async def send_file(here: World) -> None:
    given = b'{"text": "data:text/plain;base64,%s"}' % (b"QUJD" * 100)
    await here.provider.submit(msgspec.structs.replace(work(), input=given))


ASKS: dict[str, tuple[Callable[[World], Awaitable[None]], tuple[int, ...]]] = {
    "create": (submit, (400, 401, 500, 502)),
    "read": (adopt, (401, 500)),
    "list": (look_for, (401, 500)),
    "model": (find, (401, 500)),
    "upload": (send_file, (401, 500)),
}


@pytest.mark.parametrize(("kind", "status"), [(kind, status) for kind, (_, all_) in ASKS.items() for status in all_])
@pytest.mark.parametrize("before", [0, 480, 495, 3990])  # texts are cut
async def test_neither_the_token_nor_the_address_is_in_a_message(kind: str, status: int, before: int) -> None:
    rules = {"look_seconds": 0.1, "data_url_bytes": 100}
    async with world("replicate", rules=rules) as here:
        address = here.server.url
        text = "x" * before + f" Bearer {TOKEN} {address}/x https://b.example.com/y?X-Amz-Signature=sig-canary"
        here.service.plan(kind, *[echoing(status, text)] * 3)
        if kind == "create":
            here.service.plan("list", *[echoing(500, text)] * 3)
        with pytest.raises(HalleyError) as caught:
            await ASKS[kind][0](here)
        errors = [str(error) for error in (caught.value, caught.value.__cause__) if error is not None]
        assert TOKEN[:8] not in str([errors, here.provider.report()])
        assert address not in str(caught.value)
        assert "sig-canary" not in str(here.provider.report())


async def test_a_service_that_cannot_be_reached_is_not_named_to_callers() -> None:
    async with world("replicate") as here:
        address = here.server.url
    async with open_provider(address, "replicate", rules={"look_seconds": 0.1}) as provider:
        for asked in (
            provider.submit(work()),
            provider.adopt(work(), "known"),
            provider.adopt(work(), None),
            provider.find_model(UpstreamTarget(model="test/echo")),
        ):
            with pytest.raises(HalleyError) as caught:
                await asked
            assert "127.0.0.1" not in str(caught.value)
            assert "the service could" not in str(caught.value)  # it begins the sentence
        assert address in provider.report().faults[0].text  # for operators


async def test_an_error_shows_what_the_service_says_without_the_token() -> None:
    async with world("replicate") as here:
        here.service.plan("create", says(400, {"detail": f"bad token {TOKEN}"}))
        with pytest.raises(SubmitRefused, match=r"bad token \[token\]"):
            await here.provider.submit(work())
        assert here.provider.report().faults[0].text.startswith("It answered 400: bad token [token]")


async def test_a_refusal_says_who_was_refused_so_that_callers_do_not_look_at_their_own_key() -> None:
    async with world("replicate") as here:
        here.service.plan("create", says(401, {"detail": "The API key is not valid."}))
        with pytest.raises(
            SubmitRefused, match=r"^The service answered this server with 401: The API key is not valid\."
        ):
            await here.provider.submit(work())
