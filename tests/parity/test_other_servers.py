"""Models give the same results here and at other servers of Cog behind Halley, but for the words of an error."""

import pytest
from cases import CASES, OLD, PLAIN, Results

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("model", OLD + PLAIN)
def test_results_from_another_server_are_the_same(model: str, other_results: Results) -> None:
    for number, (ours, its) in enumerate(other_results[model]):
        found = ours.differences(its)
        if (its.error or "") in (ours.error or ""):  # Cog 0.9 says "bad" for ValueError("bad")
            found.pop("error", None)
        assert found == {}, f"input {number}: {CASES[model][number]}; ours first"
