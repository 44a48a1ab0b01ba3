"""Fuzzing as a habit: the parsers at the door on 50,000 cases. `scripts/fuzz` is the long form."""

import logging
import os
from collections.abc import Iterator

import pytest

from fuzz import planted
from fuzz.cases import shape_count
from fuzz.engine import fuzz
from fuzz.targets import TARGETS, Target, by_name, quieten

pytestmark = pytest.mark.timeout(300)

SEED = int(os.environ.get("FUZZ_SEED", "9"))
CASES = 50_000 // len(TARGETS) + 1
SHAPES = 600
SLOW_SHAPES = 60


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    quieten()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_case_fails_or_takes_more_than_its_bytes_are_worth(target: Target) -> None:
    is_slow = target.seconds_per_byte > 1e-4
    shapes = range(SLOW_SHAPES if is_slow else min(SHAPES, shape_count(target.words)))
    fault = next(fuzz(target, seed=SEED, cases=range(CASES), shapes=shapes), None)
    if fault is not None:
        pytest.fail(f"seed {SEED}: {fault}", pytrace=False)


@pytest.mark.parametrize("plant", planted.PLANTS, ids=lambda plant: plant.name)
def test_a_planted_bug_is_found(plant: planted.Plant) -> None:
    target = plant.into(by_name(plant.target))
    fault = next(fuzz(target, seed=SEED, cases=range(2000), shapes=range(SHAPES)), None)
    assert fault is not None, f"{plant.name} was not found"
    assert plant.word in fault.why, fault
