"""Every bus keeps the promises of its port."""

import random
from collections.abc import Callable

import pytest

from halley.bus.local import LocalBus
from halley.predictions.hints import Bus, Changed, Hint
from halley.testing.bus import BusContract, LossyBus


class OddBus(LocalBus):
    """Drops, repeats and delays, as a bus between processes may."""

    def __init__(self) -> None:
        super().__init__()
        self._chance = random.Random(4)
        self._late: list[Hint] = []

    def publish(self, hint: Hint) -> None:
        self._late += [hint] * self._chance.choice([0, 0, 1, 2])
        self._chance.shuffle(self._late)
        while self._late and self._chance.random() < 0.7:
            super().publish(self._late.pop())


class TestLocalBus(BusContract):
    @pytest.fixture
    def bus(self) -> Bus:
        return LocalBus()


class TestOddBus(BusContract):
    @pytest.fixture
    def bus(self) -> Bus:
        return OddBus()


class TestLossyBus(BusContract):
    delivers = False

    @pytest.fixture
    def bus(self) -> Bus:
        return LossyBus()


def test_the_local_bus_calls_receivers_directly_in_order_of_subscription() -> None:
    bus = LocalBus()
    heard: list[str] = []

    def told(name: str) -> Callable[[Hint], None]:
        return lambda _: heard.append(name)

    for name in ("api", "hub", "desk"):
        bus.subscribe(told(name))
    bus.publish(Changed(prediction_id="p1"))
    assert heard == ["api", "hub", "desk"]
