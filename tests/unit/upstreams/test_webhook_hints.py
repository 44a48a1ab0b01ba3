"""Runs are followed by webhooks where the service can reach this server: they are only hints."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from halley.dispatch.ports import Progress
from halley.dispatch.upstream_hooks import NAMED, HookPlace, UpstreamHint, UpstreamHooks
from halley.errors import OutcomeUnknown, SubmitRefused
from halley.providers.replicate.profiles import PROFILES
from halley.providers.replicate.provider import ReplicateProvider
from halley.providers.services.poll_rules import PollRules
from halley.testing.providers import work_of
from halley.testing.replicate.faults import ServiceFault, says
from halley.testing.replicate.opening import FAST, Held, open_provider
from halley.testing.replicate.scripts import Stage, echo, wait
from halley.testing.replicate.server import serve
from halley.testing.replicate.service import FakeService, Style, kind_of

pytestmark = pytest.mark.anyio

SLOW = PollRules(first_seconds=30, changed_seconds=0.01, longest_seconds=30, per_second=1000, hinted_seconds=30)
LOST = ServiceFault(acts=True, cut="answer")


def address(prediction_id: str, attempt: int, provider: str = "back") -> str:
    return f"https://halley.example/v1/upstreams/hooks/{prediction_id}-{attempt}-{provider}-{'secret' * 4:.22}"


class World:
    def __init__(self, provider: ReplicateProvider, service: FakeService, hooks: UpstreamHooks) -> None:
        self.provider, self.service, self.hooks = provider, service, hooks

    @property
    def creates(self) -> list[dict[str, Any]]:
        return [json.loads(one.body) for one in self.service.asked if kind_of(one) == "create"]

    @property
    def polls(self) -> int:
        return sum(kind_of(one) == "read" for one in self.service.asked)

    def tell(
        self,
        prediction_id: str = "p1",
        upstream_id: str = "",
        *,
        attempt: int = 1,
        provider: str = "back",
        over: bool = False,
    ) -> None:
        """A webhook with a valid token arrives."""
        self.hooks.receive(
            UpstreamHint(place=HookPlace(prediction_id, attempt, provider), upstream_id=upstream_id, has_ended=over)
        )


@asynccontextmanager
async def world(style: Style = "replicate", *, poll: PollRules = SLOW, **more: Any) -> AsyncIterator[World]:
    service = FakeService({"test/echo": echo, "test/wait": wait}, style=style)
    hooks = UpstreamHooks(lambda place: address(*place))
    profile = msgspec.structs.replace(
        PROFILES[style], poll=poll, needs_version=False, settle_seconds=more.pop("settle_seconds", 0.0)
    )
    held = more.pop("held", None)
    async with (
        serve(service) as server,
        open_provider(
            server.url, style, rules={"profile": profile, **more}, dependencies={"hooks": hooks.of("back")}, held=held
        ) as provider,
    ):
        yield World(provider, service, hooks)


async def until(fact: Any) -> None:
    for _ in range(1000):
        if fact():
            return
        await asyncio.sleep(0.005)
    raise AssertionError


async def test_each_create_names_an_address_of_its_own_and_no_report_has_it() -> None:
    async with world("halley", poll=FAST) as here:
        for prediction_id in ("p1", "p2"):
            faults = [says(status, {"detail": f"bad {address(prediction_id, 1)}"}) for status in (500, 422)]
            here.service.plan("create", *faults[prediction_id == "p2" :])
            with pytest.raises(Exception, match="bad") as caught:
                await here.provider.submit(work_of("echo", "x", prediction_id))
            assert "secret" not in str(caught.value)
        await here.provider.submit(work_of("echo", "x", "p3"))
        assert here.creates[-1]["webhook"] == address("p3", 1)
        assert here.creates[-1]["webhook_events_filter"] == ["start", "output", "logs", "completed"]
        assert "secret" not in str(here.provider.report())


async def test_cometapi_gets_none() -> None:
    async with world("cometapi", poll=FAST) as here:
        await here.provider.submit(work_of("echo", "x", "p1"))
        assert "webhook" not in here.creates[0]
        assert here.provider.report().webhooks is None


async def test_a_service_that_refuses_webhooks_gets_the_create_without_and_no_other() -> None:
    async with world("replicate", poll=FAST) as here:
        refusal = {"detail": f"webhook: {address('p1', 1)} cannot be reached from here"}
        here.service.plan("create", says(422, refusal))
        await here.provider.submit(work_of("echo", "x", "p1"))
        await here.provider.submit(work_of("echo", "y", "p2"))
        assert ["webhook" in one for one in here.creates] == [True, False, False]
        assert len(here.service.runs) == 2
        text = str(here.provider.report().faults)
        assert here.provider.report().webhooks == "refused"
        assert "only polled" in text
        assert "secret" not in text


async def test_what_was_sent_without_its_webhook_is_also_sent_again_without() -> None:
    refused = says(422, {"detail": "webhook: cannot be reached from here"})
    async with world("halley", poll=FAST) as here:
        here.service.plan("create", refused, LOST)
        await here.provider.submit(work_of("echo", "x", "p1"))
        assert ["webhook" in one for one in here.creates] == [True, False, False]
        assert len(here.service.runs) == 1
    async with world("halley", poll=FAST) as here:  # as after a restart, which forgets that it was refused
        here.service.plan("create", refused, LOST)
        await here.provider.adopt(work_of("echo", "x", "p1"), None)
        assert len(here.service.runs) == 1


async def test_a_hint_makes_the_poller_look_at_once_and_polls_are_rare_otherwise() -> None:
    async with world() as here:
        handle = await here.provider.submit(work_of("echo", "abc", "p1"))
        said: list[Progress] = []
        following = asyncio.ensure_future(here.provider.follow(handle, said.append))
        for count in range(1, 20):
            if following.done():
                break
            here.tell(upstream_id=handle)
            await until(lambda count=count: here.polls >= count or following.done())
        outcome = await following
        assert outcome.status == "succeeded"
        assert here.polls <= 4


async def test_what_a_webhook_says_is_never_taken_for_true() -> None:
    async with world() as here:
        handle = await here.provider.submit(work_of("wait", "abc", "p1"))
        following = asyncio.ensure_future(here.provider.follow(handle, lambda _: None))
        for count in range(3):
            for _ in range(50):
                here.tell(upstream_id="another", over=True)
                here.tell(upstream_id=handle, over=True)
            await until(lambda count=count: here.polls > count)
        assert not following.done()
        here.provider.cancel(handle)
        assert (await following).status == "canceled"


async def test_hints_before_the_follower_count_and_those_for_others_do_not() -> None:
    async with world() as here:
        handle = await here.provider.submit(work_of("wait", "abc", "p1"))
        here.tell("p1", handle, attempt=2)
        here.tell("p1", handle, provider="other")
        here.tell("p2", handle)
        following = asyncio.ensure_future(here.provider.follow(handle, lambda _: None))
        await asyncio.sleep(0.05)
        assert here.polls == 0
        here.tell("p1", handle)
        await until(lambda: here.polls == 1)
        here.service.runs[handle].stages[:] = [Stage(status="succeeded", output="x")]
        here.tell("p1", handle, over=True)
        assert (await following).status == "succeeded"
        other = await here.provider.submit(work_of("wait", "abc", "p3"))
        here.tell("p3", other)  # between submit and follow
        following = asyncio.ensure_future(here.provider.follow(other, lambda _: None))
        await until(lambda: here.polls == 3)
        following.cancel()


async def test_after_the_end_nothing_is_kept_of_an_address() -> None:
    async with world(poll=FAST) as here:
        handle = await here.provider.submit(work_of("echo", "abc", "p1"))
        for number in range(100):
            here.tell(upstream_id=f"r{number}")
        hook = here.hooks._opened(HookPlace("p1", 1, "back"))
        assert len(hook.named) == NAMED
        del hook
        await here.provider.follow(handle, lambda _: None)
        gc.collect()
        assert not here.hooks._open
        here.tell(upstream_id=handle)  # late: without effect


async def test_without_arrivals_the_poll_interval_stays() -> None:
    async with world(poll=FAST) as here:
        for number in range(3):
            handle = await here.provider.submit(work_of("echo", "abc", f"p{number}"))
            outcome = await here.provider.follow(handle, lambda _: None)
            assert outcome.status == "succeeded"
        hook = here.hooks._opened(HookPlace("p9", 1, "back"))
        assert not here.provider._hooks.are_enough(hook, is_new=True)


async def test_hundred_open_runs_cost_few_polls_while_webhooks_arrive() -> None:
    rules = msgspec.structs.replace(FAST, first_seconds=0.01, longest_seconds=0.05, hinted_seconds=60.0)
    async with world(poll=rules, max_in_flight=100) as here:
        handles = [await here.provider.submit(work_of("wait", "abc", f"p{number}")) for number in range(100)]
        for number, handle in enumerate(handles):
            here.tell(f"p{number}", handle)
        following = [asyncio.ensure_future(here.provider.follow(handle, lambda _: None)) for handle in handles]
        await until(lambda: here.polls >= 100)
        await asyncio.sleep(0.3)  # without webhooks, each would be polled about six times more
        assert here.polls <= 220
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def test_a_lost_create_is_settled_by_the_run_that_its_webhook_names() -> None:
    async with world(settle_seconds=None, look_seconds=5.0) as here:
        here.service.plan("create", LOST)
        submitting = asyncio.ensure_future(here.provider.submit(work_of("echo", "abc", "p1")))
        await until(lambda: here.service.runs)
        [handle] = here.service.runs
        here.service.runs[handle].webhook = None  # the service does not show it
        here.service.plan("read", says(404, b""))  # nor the run at once
        here.tell("p1", "../nothing")
        here.tell("p1", "unheard-of")
        here.tell("p1", handle)
        assert await submitting == handle
        assert len(here.creates) == 1


@pytest.mark.parametrize("why", ["another input", "held", "another token", "gone"])
async def test_a_run_that_cannot_be_the_one_is_not_taken(why: str) -> None:
    held = Held()
    async with world(settle_seconds=None, look_seconds=0.4, held=held) as here:
        run = here.service.begin("test/echo", {"text": "other" if why == "another input" else "abc"})
        run.webhook = address("p2", 1) if why == "another token" else None
        if why == "held":
            held.handles.add(run.id)
        if why == "gone":
            del here.service.runs[run.id]
        here.service.plan("create", ServiceFault(cut="answer"))
        submitting = asyncio.ensure_future(here.provider.submit(work_of("echo", "abc", "p1")))
        await until(lambda: here.creates)
        here.tell("p1", run.id)
        with pytest.raises(OutcomeUnknown):
            await submitting


async def test_the_list_tells_equal_creates_apart_by_their_webhooks() -> None:
    async with world() as here:
        here.service.begin("test/echo", {"text": "abc"}).webhook = address("p7", 1)
        here.service.begin("test/echo", {"text": "abc"})  # of somebody else
        here.service.plan("create", LOST)
        handle = await here.provider.submit(work_of("echo", "abc", "p1"))
        assert here.service.runs[handle].webhook == address("p1", 1)


async def test_a_run_is_found_by_its_webhook_also_after_the_public_url_has_changed() -> None:
    async with world() as here:
        for prediction_id in ("p1", "p2"):
            here.service.begin(
                "test/echo", {"text": "abc"}
            ).webhook = f"https://old.example{address(prediction_id, 1)[22:]}"
        handle = await here.provider.adopt(work_of("echo", "abc", "p1"), None)
        assert handle == next(iter(here.service.runs))


async def test_a_run_of_the_same_prediction_at_another_provider_is_not_taken_for_sure() -> None:
    async with world() as here:
        here.service.begin("test/echo", {"text": "abc"}).webhook = address("p1", 1, "other")
        here.service.begin("test/echo", {"text": "abc"}).webhook = address("p1", 1)
        handle = await here.provider.adopt(work_of("echo", "abc", "p1"), None)
        assert here.service.runs[handle or ""].webhook == address("p1", 1)


async def test_what_is_refused_also_without_a_webhook_leaves_them_on() -> None:
    refusal = says(422, {"detail": "input.webhook is not a member"})
    async with world("replicate", poll=FAST) as here:
        here.service.plan("create", refusal, refusal)
        with pytest.raises(SubmitRefused):
            await here.provider.submit(work_of("echo", "x", "p1"))
        await here.provider.submit(work_of("echo", "x", "p2"))
        assert ["webhook" in one for one in here.creates] == [True, False, True]


async def test_an_adopted_run_is_polled_as_usual_until_its_own_webhooks_arrive() -> None:
    async with world(poll=msgspec.structs.replace(FAST, hinted_seconds=60.0)) as here:
        await here.provider.submit(work_of("wait", "abc", "p1"))
        here.tell("p1")  # webhooks of the service arrive
        run = here.service.begin("test/echo", {"text": "abc"})  # begun by other settings, without a webhook
        handle = await here.provider.adopt(work_of("echo", "abc", "p2"), run.id)
        assert handle == run.id
        outcome = await asyncio.wait_for(here.provider.follow(handle, lambda _: None), 60)
        assert outcome.status == "succeeded"


async def test_webhooks_that_come_after_the_end_are_arrivals_too() -> None:
    async with world(poll=FAST) as here:
        for number in range(3):
            handle = await here.provider.submit(work_of("echo", "abc", f"p{number}"))
            await here.provider.follow(handle, lambda _: None)
        assert here.provider.report().webhooks == "awaited"
        here.tell("p2", handle, over=True)
        assert here.provider.report().webhooks == "arriving"
        here.tell("p2", handle, provider="other")
