"""The same models and inputs give the same results here and in Cog's own server, but for a list of exceptions.

results.py says what "the same" means. skips.toml holds the exceptions, each with its reason; one that is none any more
fails, so that the list stays true.
"""

from typing import Final

import pytest
from cases import CASES, DIFFERS, MODELS, OWN, SKIPS, STATEFUL, WORDS, Results, compared, pairs_of

# The first test waits for all predictions of both servers: half a minute on an idle machine.
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

ENOUGH: Final = 55


@pytest.mark.parametrize("model", [model for model in CASES if compared(model)])
def test_results_are_the_same(model: str, results: Results) -> None:
    for number in compared(model):
        ours, its, _ = results[model][number]
        assert ours.differences(its) == {}, f"input {number}: {CASES[model][number]}; ours first, then Cog's"


@pytest.mark.parametrize("model", [model for model in CASES if compared(model) and model not in STATEFUL])
def test_results_through_a_cog_server_are_the_same(model: str, results: Results) -> None:
    for number in compared(model):
        ours, _, through = results[model][number]
        assert ours.differences(through) == {}, f"input {number}: {CASES[model][number]}; ours first"


@pytest.mark.parametrize("skip", DIFFERS)
def test_exception_is_still_one(skip: str, results: Results) -> None:
    assert any(ours.differences(its) for ours, its in pairs_of(skip, results)), (
        f"{skip} is the same now: take it from skips.toml"
    )


@pytest.mark.parametrize("skip", WORDS)
def test_only_the_words_of_an_error_differ(skip: str, results: Results) -> None:
    for ours, its in pairs_of(skip, results):
        assert ours.error_class, ours
        assert (ours.error_class, ours.differences(its)) == (its.error_class, {"error": (ours.error, its.error)})


def test_enough_models_are_compared() -> None:
    assert len([model for model in CASES if compared(model)]) >= ENOUGH


def test_lists_name_what_is_there() -> None:
    assert {file.stem for file in MODELS.glob("*.py")} == set(OWN)
    known = set(CASES) | {f"{model}#{number}" for model, inputs in CASES.items() for number in range(len(inputs))}
    assert set(SKIPS) <= known
    assert all(len(reason) > 20 for reason in SKIPS.values())
