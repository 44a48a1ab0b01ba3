"""Models give the same results here and at a server of Cog 0.9 behind Halley, but for the words of an error."""

import pytest
from cases import CASES, OLD
from results import Result

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.parametrize("model", OLD)
def test_results_from_old_cog_are_the_same(model: str, old_results: dict[str, list[tuple[Result, Result]]]) -> None:
    for number, (ours, its) in enumerate(old_results[model]):
        found = ours.differences(its)
        if (its.error or "") in (ours.error or ""):  # Cog 0.9 says "bad" for ValueError("bad")
            found.pop("error", None)
        assert found == {}, f"input {number}: {CASES[model][number]}; ours first"
