"""One poller for all runs of a service, and its limits."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from halley.dispatch.upstreams import SubmitBucket
from halley.egress import EgressResponse
from halley.errors import ProviderBusy
from halley.providers.replicate.profiles import PROFILES
from halley.providers.services.pace import LONGEST_SECONDS, ServicePace
from halley.providers.services.poll_rules import PollRules
from halley.providers.services.poller import PolledState, Poller
from halley.testing.clock import T0, FakeClock

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (200, {}, {}, 0),
        (429, {"retry-after": "7"}, {}, 7),
        (429, {"retry-after": format_datetime(T0.astimezone(UTC) + timedelta(seconds=30))}, {}, 29),
        (429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, {}, 1),
        (429, {"retry-after": "999999"}, {}, LONGEST_SECONDS),
        (429, {"retry-after": "soon"}, {"retry_after": 9}, 9),
        (429, {}, {"detail": "throttled"}, 1),
        (429, {"retry-after": "0"}, {}, 1),
        (429, {"retry-after": "Mon, 01 Jan 99999999999 00:00:00 GMT"}, {}, 1),
        (429, {}, {"retry_after": 10**400}, LONGEST_SECONDS),
        (503, {"retry-after": "5"}, {}, 5),
        (503, {}, {}, 0),
        (200, {"ratelimit": "limit=10, remaining=0, reset=12"}, {}, 12),
        (200, {"ratelimit": '"default";r=0;t=8'}, {}, 8),
        (200, {"ratelimit": "limit=10, remaining=3, reset=12"}, {}, 0),
        (200, {"ratelimit": '"day";r=900;t=3600, "burst";r=0;t=5'}, {}, 5),
        (200, {"ratelimit": '"burst";r=0;t=5,"day";r=0;t=3600'}, {}, LONGEST_SECONDS),
        (200, {"ratelimit": '"burst";r=0;pk=:dHNq:;t=5, "day";r=1;t=9'}, {}, 5),
        (429, {"ratelimit": '"day";r=900;t=3600, "burst";r=0;t=5'}, {}, 5),
        (429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "20"}, {}, 20),
        (429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "20", "retry-after": "3"}, {}, 3),
        (429, {"x-ratelimit-remaining": "4", "x-ratelimit-reset": "20"}, {}, 1),
        (200, {"ratelimit-remaining": "0", "ratelimit-reset": "4"}, {}, 4),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "6"}, {}, 6),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1764362415"}, {}, 0),
        (200, {"x-ratelimit-remaining": "many"}, {}, 0),
    ],
)
def test_what_a_service_says_about_its_limits(status: int, headers: dict[str, str], body: object, seconds: int) -> None:
    pace = ServicePace(FakeClock())
    pace.note(EgressResponse(status=status, headers=headers, body=b""), body if isinstance(body, dict) else None)
    assert int(pace.paused_seconds) == seconds


def test_refusals_without_a_time_wait_longer_and_longer() -> None:
    clock = FakeClock()
    pace = ServicePace(clock)
    waits = []
    for _ in range(9):
        pace.note(EgressResponse(status=429, headers={}, body=b""), None)
        waits.append(pace.paused_seconds)
        clock.advance(pace.paused_seconds)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 64, 64]


def answer(status: int = 201, **headers: object) -> EgressResponse:
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return EgressResponse(status=status, headers=named, body=b"")


def test_refusals_that_were_on_their_way_together_are_one() -> None:
    pace = ServicePace(FakeClock())
    for _ in range(20):
        pace.note(answer(429), None, is_submit=True)
    assert pace.submit_paused_seconds == 1.0


def test_a_service_that_refuses_submits_is_still_asked_how_runs_are() -> None:
    pace = ServicePace(FakeClock())
    pace.note(answer(429, retry_after=60), None, is_submit=True)
    pace.check()
    with pytest.raises(ProviderBusy) as refused:
        pace.check_submit()
    assert (refused.value.retry_after_seconds, refused.value.was_asked) == (60, False)
    pace = ServicePace(FakeClock())
    pace.note(answer(429, retry_after=60), None)
    with pytest.raises(ProviderBusy):
        pace.check_submit()


def test_no_more_submits_begin_than_the_service_says_are_left() -> None:
    clock = FakeClock()
    pace = ServicePace(clock)
    assert pace.submits.room() is None
    pace.note(answer(x_ratelimit_limit=10, x_ratelimit_remaining=4, x_ratelimit_reset=30), None, is_submit=True)
    assert pace.submits.room() == 4
    pace.note(answer(200, x_ratelimit_remaining=1, x_ratelimit_reset=30), None)
    assert pace.submits.room() == 4, "polls have other limits"
    clock.advance(30.0)
    assert pace.submits.room() == 10
    pace.note(answer(ratelimit='"default";r=0;t=7', ratelimit_policy='"default";q=5;w=10'), None, is_submit=True)
    assert (pace.submits.room(), pace.submit_paused_seconds) == (0, 7.0)
    clock.advance(7.0)
    assert pace.submits.room() == 5
    ends = int(clock.now().timestamp()) + 20
    several = answer(ratelimit='"day";r=80;t=99, "burst";r=3;t=7', ratelimit_policy='"burst";q=5;w=9, "day";q=90;w=100')
    pace.note(several, None, is_submit=True)
    assert pace.submits.bucket() == SubmitBucket(left=3, limit=5, reset_seconds=7.0)
    pace.note(answer(x_ratelimit_remaining=0, x_ratelimit_reset=ends), None, is_submit=True)
    assert 19 <= pace.submit_paused_seconds <= 21


def test_after_a_refusal_submits_begin_again_one_by_one() -> None:
    clock = FakeClock()
    pace = ServicePace(clock)
    pace.note(answer(429, retry_after=5), None, is_submit=True)
    rooms = [pace.submits.room()]
    clock.advance(5.0)
    for _ in range(65):
        rooms.append(pace.submits.room())
        pace.note(answer(), None, is_submit=True)
    assert rooms == [0, *range(1, 65), None]
    bucket = pace.submits.bucket()
    assert bucket is None


class Polled:
    """Follows a number of runs that never change, in the time of a fake clock."""

    relies_on_hints = False

    def __init__(self, rules: PollRules) -> None:
        self.clock = FakeClock()
        self.pace = ServicePace(self.clock)
        self.asked: list[tuple[float, str]] = []
        self.fails_until = 0.0
        self.poller = Poller(self._ask, clock=self.clock, pace=self.pace, rules=rules, chance=lambda: 0.5)

    async def _ask(self, handle: str) -> PolledState:
        self.asked.append((self.clock.monotonic(), handle))
        return PolledState(is_gone=True)

    async def _follow(self, handle: str) -> None:
        with self.poller.watch(handle, is_new=True, relies_on_hints=lambda: self.relies_on_hints) as watch:
            self.watch = watch
            while True:
                await watch.next()
                if self.clock.monotonic() < self.fails_until:
                    self.poller.poll_failed(watch)
                else:
                    self.poller.schedule_next(watch, has_changed=False)

    async def run(self, runs: int, seconds: float, step: float = 0.05) -> None:
        tasks = [asyncio.ensure_future(self._follow(f"r{number}")) for number in range(runs)]
        for _ in range(int(seconds / step)):
            for _ in range(12):
                await asyncio.sleep(0)
            self.clock.advance(step)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.poller.close()


async def test_a_run_without_news_is_asked_for_less_and_less() -> None:
    polled = Polled(PollRules(first_seconds=0.5, longest_seconds=5, growth=1.4, per_second=100))
    await polled.run(1, 60)
    times = [at for at, _ in polled.asked]
    gaps = [round(after - before, 2) for before, after in pairwise(times)]
    assert gaps[0] < 0.6
    assert 4.9 <= gaps[-1] <= 5.1
    assert len(times) < 20


async def test_a_hundred_runs_share_one_poller() -> None:
    polled = Polled(PROFILES["replicate"].poll)
    await polled.run(100, 60)
    assert len(polled.asked) <= 60 * 10 + 1
    counts = [sum(handle == f"r{number}" for _, handle in polled.asked) for number in range(100)]
    assert min(counts) >= max(counts) - 3  # in turn


async def test_after_an_outage_all_runs_are_asked_for_soon() -> None:
    polled = Polled(PollRules(first_seconds=0.5, changed_seconds=0.5, longest_seconds=5, per_second=100))
    polled.fails_until = polled.clock.monotonic() + 20.0
    await polled.run(5, 60)
    after = [at for at, _ in polled.asked if at > polled.fails_until]
    found = {handle for at, handle in polled.asked if after[0] <= at < after[0] + 1.0}
    assert len(found) == 5, "the first that is answered makes the others due"
    during = [at for at, handle in polled.asked if at < polled.fails_until and handle == "r0"]
    assert len(during) < 10


async def test_nobody_polls_while_the_service_wants_no_requests() -> None:
    polled = Polled(PollRules(per_second=100))
    polled.pace.pause(20)
    begin = polled.clock.monotonic()
    await polled.run(5, 30)
    assert polled.asked
    assert polled.asked[0][0] - begin >= 19.9


async def test_without_followers_nothing_runs() -> None:
    polled = Polled(PollRules())
    await polled.run(3, 5)
    asked = len(polled.asked)
    polled.clock.advance(100)
    await asyncio.sleep(0.01)
    assert len(polled.asked) == asked
    assert polled.clock.now() > datetime(2026, 1, 1, tzinfo=UTC)


async def test_a_hint_brings_the_next_poll_forward_but_not_too_often() -> None:
    polled = Polled(PollRules(first_seconds=5, changed_seconds=0.5, longest_seconds=5, per_second=100))

    async def hint() -> None:
        await polled.clock.sleep(1.0)
        for _ in range(100):
            polled.poller.hint(polled.watch)
            await polled.clock.sleep(0.02)

    hinting = asyncio.ensure_future(hint())
    await polled.run(1, 4)
    hinting.cancel()
    times = [at for at, _ in polled.asked]
    assert len(times) >= 4  # without hints: one
    assert min(after - before for before, after in pairwise(times)) >= 0.5


async def test_a_hundred_runs_whose_webhooks_arrive_are_polled_rarely_and_never_forgotten() -> None:
    asked = []
    for relies_on_hints in (False, True):
        polled = Polled(PROFILES["replicate"].poll)
        polled.relies_on_hints = relies_on_hints
        await polled.run(100, 60)
        asked.append(len(polled.asked))
        assert {handle for _, handle in polled.asked} == {f"r{number}" for number in range(100)}
    assert asked[1] <= 300 < asked[0]  # at most three times in a minute
