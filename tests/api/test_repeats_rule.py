"""The rule for repeated creates, under many clients at once that lose connections and answers and try again.

However they do it, each call of a client makes one prediction.
"""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count, pairwise
from typing import Any, Final, Literal

import msgspec
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from api.test_repeats import GatedStore
from api.world import Connection, Reply, World, settled
from halley.api.repeats import ATTEMPT_KEY, COUNTED_SECONDS, DROPPED_SECONDS

Fate = Literal["dropped", "stuck", "lost"]
"""What becomes of a try that fails.

dropped: the connection breaks before the answer. stuck: the answer does not leave us. lost: it leaves us, and a proxy
gives the client another one (502); only clients that count try again then.
"""


class Failure(msgspec.Struct, frozen=True):
    """How a try fails, after how long, and how long its client waits then."""

    fate: Fate
    after: float
    pause: float


class Call(msgspec.Struct, frozen=True):
    """One deliberate create: when, by whom, for what; and the tries that fail before one is answered."""

    at: float
    caller: str
    prompt: str
    counts: bool
    waits: bool
    failures: tuple[Failure, ...]
    seconds: float  # how long the last try takes


class Stall(msgspec.Struct, frozen=True):
    """Nothing is committed for a while."""

    at: float
    seconds: float


def seconds(most: float) -> st.SearchStrategy[float]:
    """Quarters: many things happen at the same time, and sums of them are exact."""
    return st.integers(0, int(most * 4)).map(lambda quarters: quarters / 4)


def failure(*fates: Fate, longest_pause: float) -> st.SearchStrategy[Failure]:
    return st.builds(Failure, fate=st.sampled_from(fates), after=seconds(1), pause=seconds(longest_pause))


def calls(
    counts: st.SearchStrategy[bool], failures: st.SearchStrategy[list[Failure]], prompts: str = "ab"
) -> st.SearchStrategy[Call]:
    return st.builds(
        Call,
        at=seconds(2),
        caller=st.sampled_from(["alice", "bob"] if len(prompts) > 1 else ["alice"]),
        prompt=st.sampled_from(prompts),
        counts=counts,
        waits=st.booleans(),
        failures=failures.map(tuple),
        seconds=seconds(2),
    )


BROKEN: Final = failure("dropped", "stuck", longest_pause=DROPPED_SECONDS)
BROKEN_LATE: Final = failure("dropped", "stuck", longest_pause=COUNTED_SECONDS / 4)
ANY: Final = failure("dropped", "stuck", "lost", longest_pause=4)

SILENT: Final = calls(st.just(False), st.lists(BROKEN, max_size=3))
COUNTING: Final = calls(st.just(True), st.lists(BROKEN_LATE, max_size=3))
UNLUCKY: Final = calls(st.just(True), st.lists(ANY, max_size=3), "a")
STALLS: Final = st.lists(st.builds(Stall, at=seconds(4), seconds=seconds(2)), max_size=2)


class Simulation:
    """Lets all of it happen in the order of time, on a clock that jumps from event to event."""

    def __init__(self, world: World, store: GatedStore) -> None:
        self.world = world
        self.store = store
        self.got: list[tuple[Call, str]] = []
        self._answering: list[tuple[str, float, float]] = []  # prediction, from when until when
        self._lost_at: dict[Connection, float] = {}
        self._agenda: list[tuple[float, int, Callable[[], Any]]] = []
        self._order = count()
        self._now = 0.0
        self._stalls = 0

    def at(self, time: float, action: Callable[[], Any]) -> None:
        heapq.heappush(self._agenda, (max(time, self._now), next(self._order), action))

    async def run(self) -> None:
        while self._agenda:
            time, _, action = heapq.heappop(self._agenda)
            self.world.clock.advance(time - self._now)
            self._now = time
            done = action()
            if done is not None:
                await done
            await settled(40)

    def overlaps(self) -> bool:
        """Whether a prediction answered two creates at the same time."""
        spans = sorted(self._answering)
        pairs = pairwise(spans)
        return any(one[0] == other[0] and other[1] < one[2] for one, other in pairs)

    def stall(self, stall: Stall) -> None:
        self.at(stall.at, self._stall)
        self.at(stall.at + stall.seconds, self._go_on)

    def _stall(self) -> None:
        self._stalls += 1
        self.store.gate.clear()

    def _go_on(self) -> None:
        self._stalls -= 1
        if not self._stalls:
            self.store.gate.set()

    def call(self, call: Call) -> None:
        self.at(call.at, lambda: self._try(call, 0))

    def _try(self, call: Call, tries: int) -> None:
        connection, begun = Connection(), self._now
        headers = {"Prefer": "wait=55"} if call.waits else {}
        if call.counts:
            headers["X-Stainless-Retry-Count"] = str(tries)
        request = self.world.post(
            "/v1/predictions",
            {"version": "acme/echo", "input": {"prompt": call.prompt}},
            headers=headers,
            token="" if call.caller == "alice" else self.world.other_token,
            connection=connection,
        )
        task = asyncio.ensure_future(request)
        task.add_done_callback(lambda _: self._note(connection, begun))
        if tries < len(call.failures):
            failure = call.failures[tries]
            self.at(self._now + failure.after, lambda: self._fail(call, tries, failure, task, connection))
        else:
            self.at(self._now + call.seconds, lambda: self._answer(call, task, connection))

    def _note(self, connection: Connection, begun: float) -> None:
        prediction_id = connection.scope[ATTEMPT_KEY].prediction_id
        assert prediction_id is not None
        self._answering.append((prediction_id, begun, self._lost_at.get(connection, self._now)))

    async def _fail(
        self, call: Call, tries: int, failure: Failure, task: "asyncio.Task[Reply]", connection: Connection
    ) -> None:
        if not task.done() and failure.fate == "dropped":
            self._lost_at[connection] = self._now
            connection.lose()
        elif not await self._end(task, connection):
            self.at(self._now + 0.125, lambda: self._fail(call, tries, failure, task, connection))
            return
        else:
            connection.response_complete = True
            connection.lose(was_unsent=failure.fate != "lost")
        event(f"{failure.fate} {'while open' if not connection.response_complete else 'when answered'}")
        self.at(self._now + failure.pause, lambda: self._try(call, tries + 1))

    async def _answer(self, call: Call, task: "asyncio.Task[Reply]", connection: Connection) -> None:
        if not await self._end(task, connection):
            self.at(self._now + 0.125, lambda: self._answer(call, task, connection))
            return
        connection.response_complete = True
        connection.lose()
        reply = await task
        assert reply.status in {201, 202}, reply.body
        self.got.append((call, reply.json()["id"]))

    async def _end(self, task: "asyncio.Task[Reply]", connection: Connection) -> bool:
        """Let the answer come; False if it must wait for a commit."""
        await settled()
        prediction_id = connection.scope[ATTEMPT_KEY].prediction_id
        if not task.done() and prediction_id is not None and self.store.gate.is_set():
            if not (await self.world.row(prediction_id)).is_terminal:
                await self.world.run(prediction_id)
            await settled()
        return task.done()


async def simulate(calls: list[Call], stalls: list[Stall]) -> Simulation:
    store = GatedStore()
    store.gate.set()
    world = await World(store=store).fill()
    simulation = Simulation(world, store)
    for stall in stalls:
        simulation.stall(stall)
    for call in calls:
        simulation.call(call)
    await simulation.run()
    assert len(simulation.got) == len(calls)
    assert not world.api.parts.repeats._in_flight
    return simulation


def check(calls: list[Call], stalls: list[Stall], *, one_each: bool) -> None:
    async def run() -> None:
        simulation = await simulate(calls, stalls)
        for token in ("", simulation.world.other_token):
            listed = (await simulation.world.get("/v1/predictions", token=token)).json()["results"]
            caller = "bob" if token else "alice"
            for prompt in "ab":
                wanted = [call for call in calls if (call.caller, call.prompt) == (caller, prompt)]
                assert [item["input"]["prompt"] for item in listed].count(prompt) == len(wanted)
        if one_each:
            assert len({got for _, got in simulation.got}) == len(calls)
        assert not simulation.overlaps(), "a prediction answered two creates at the same time"

    asyncio.run(run())


often = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@often
@given(st.lists(SILENT | COUNTING, min_size=1, max_size=5), STALLS)
def test_each_call_gets_its_own_prediction(calls: list[Call], stalls: list[Stall]) -> None:
    check(calls, stalls, one_each=True)


@often
@given(st.lists(UNLUCKY, min_size=2, max_size=5), STALLS)
def test_where_answers_are_lost_as_many_are_made_as_are_called(calls: list[Call], stalls: list[Stall]) -> None:
    check(calls, stalls, one_each=False)


@often
@given(
    st.integers(1, 3).flatmap(
        lambda tries: st.lists(
            calls(st.just(True), st.lists(ANY, min_size=tries, max_size=tries), "a"), min_size=2, max_size=5
        )
    ),
    STALLS,
)
def test_calls_that_all_fail_equally_often_get_one_each(calls: list[Call], stalls: list[Stall]) -> None:
    check(calls, stalls, one_each=True)
