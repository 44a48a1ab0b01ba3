"""The contract suite of the bus, and a bus that drops every hint."""

import asyncio
from collections.abc import Callable
from typing import ClassVar

import pytest

from halley.predictions.hints import Bus, Changed, Hint, MessageWaits, StopRequested, WorkWaits

_TRIES = 200  # hints may be dropped and may be late
_HINTS: tuple[Hint, ...] = (
    Changed(prediction_id="p1"),
    WorkWaits(version="v1"),
    StopRequested(prediction_id="p1"),
    MessageWaits(endpoint="localhost:80"),
)


class LossyBus:
    """Implements `predictions.hints.Bus`, and drops every hint: code that waits must poll."""

    def __init__(self) -> None:
        self.dropped: list[Hint] = []

    def publish(self, hint: Hint) -> None:
        self.dropped.append(hint)

    def subscribe(self, receive: Callable[[Hint], None], *kinds: type[Hint]) -> Callable[[], None]:
        del receive, kinds
        return lambda: None


@pytest.mark.anyio
class BusContract:
    """The contract of a bus. Provide `bus`; hints may be dropped, repeated, late and reordered."""

    delivers: ClassVar[bool] = True
    """Whether a hint that is published often enough arrives eventually."""

    @pytest.fixture
    def bus(self) -> Bus:
        raise NotImplementedError

    async def test_hints_reach_every_subscriber(self, bus: Bus) -> None:
        heard: tuple[list[Hint], list[Hint]] = ([], [])
        for each in heard:
            bus.subscribe(each.append)
        await self._publish_until(bus, lambda: all(set(each) == set(_HINTS) for each in heard))
        for each in heard:
            assert set(each) <= set(_HINTS), "none that nobody published"

    async def test_one_may_ask_for_some_kinds(self, bus: Bus) -> None:
        heard: list[Hint] = []
        bus.subscribe(heard.append, Changed, WorkWaits)
        await self._publish_until(bus, lambda: {type(hint) for hint in heard} >= {Changed, WorkWaits})

    async def test_an_ended_subscription_gets_no_hints(self, bus: Bus) -> None:
        gone: list[Hint] = []
        stays: list[Hint] = []
        unsubscribe = bus.subscribe(gone.append)
        bus.subscribe(stays.append)
        await self._publish_until(bus, lambda: bool(gone))
        unsubscribe()
        gone.clear()
        stays.clear()
        await self._publish_until(bus, lambda: bool(stays))
        unsubscribe()
        assert gone == []

    async def test_one_may_subscribe_twice_and_leave_once(self, bus: Bus) -> None:
        heard: list[Hint] = []
        unsubscribe = bus.subscribe(heard.append)
        bus.subscribe(heard.append)
        unsubscribe()
        await self._publish_until(bus, lambda: bool(heard))

    async def test_a_subscriber_that_raises_affects_no_other(self, bus: Bus) -> None:
        heard: list[Hint] = []

        def fail(hint: Hint) -> None:
            raise RuntimeError(f"planned, on {hint}")

        bus.subscribe(fail)
        bus.subscribe(heard.append)
        await self._publish_until(bus, lambda: len(heard) >= 2)

    async def test_subscribers_may_change_during_a_publish(self, bus: Bus) -> None:
        heard: list[Hint] = []
        ends: list[Callable[[], None]] = []

        def once(hint: Hint) -> None:
            heard.append(hint)
            for end in ends:
                end()
            bus.subscribe(lambda _: None)

        ends += [bus.subscribe(once), bus.subscribe(once)]
        await self._publish_until(bus, lambda: bool(heard))
        before = len(heard)
        for hint in _HINTS:
            bus.publish(hint)
        await asyncio.sleep(0)
        assert len(heard) == before

    async def _publish_until(self, bus: Bus, is_so: Callable[[], bool]) -> None:
        for _ in range(_TRIES):
            for hint in _HINTS:
                bus.publish(hint)
            await asyncio.sleep(0 if is_so() else 0.001)
            if is_so() or not self.delivers:
                return
        assert is_so(), f"{_TRIES} times {len(_HINTS)} hints, and not enough of them arrived"
