"""A row is worse only if it is so by more than 5 % and below all that the other commit showed."""

import pytest
from verdict import judge, median, order, spread, table


def test_a_spread_is_the_median_and_the_ends() -> None:
    found = spread([3.0, 1.0, 2.0, 10.0, 4.0])
    assert (found.median, found.low, found.high) == (3.0, 1.0, 10.0)
    assert spread([1.0, 2.0]).median == 1.5


@pytest.mark.parametrize(
    ("this", "verdict", "is_worse"),
    [
        ([100.0, 101.0, 99.0], "same", False),
        ([96.0, 95.5, 96.0], "same", False),
        ([94.0, 94.0, 94.0], "worse", True),
        ([94.0, 80.0, 120.0], "worse", True),  # the median decides, not the best round
        ([94.0, 100.0, 100.0], "same", False),
        ([106.0, 106.0, 106.0], "better", False),
    ],
)
def test_five_percent_below_a_narrow_spread_is_worse(this: list[float], verdict: str, *, is_worse: bool) -> None:
    judged = judge(this, [100.0, 99.0, 101.0])
    assert (judged.verdict, judged.is_worse) == (verdict, is_worse)


def test_a_lower_median_within_the_spread_of_the_other_is_not_worse() -> None:
    judged = judge([90.0, 91.0, 89.0], [100.0, 85.0, 110.0])
    assert judged.ratio == pytest.approx(0.9)
    assert judged.verdict == "lower, within the spread"
    assert not judged.is_worse


def test_a_row_that_one_side_lacks_is_reported() -> None:
    there = judge([100.0, 100.0], ["9 times HTTP 404", "9 times HTTP 404"])
    assert there.verdict == "the other does not serve it: 9 times HTTP 404"
    assert not there.is_worse
    here = judge([100.0, "9 times HTTP 404"], [100.0, 100.0])
    assert here.verdict == "worse: not served: 9 times HTTP 404"
    assert here.is_worse
    assert judge(["a"], ["b"]).verdict == "served by neither: a; b"


def test_the_sides_take_turns_in_being_first() -> None:
    assert [order(number)[0] for number in range(4)] == ["this", "other", "this", "other"]


def test_the_table_shows_each_row_with_its_spread_and_its_ratio_to_the_floor() -> None:
    judged = {"GET": judge([90.0, 92.0], [100.0, 110.0]), "list": judge([1.0], ["HTTP 404"])}
    _, line, unserved = table(judged, {"GET": 182.0, "list": None})
    assert line.split() == ["GET", "91", "(90..92)", "0.50", "105", "(100..110)", "0.58", "0.867", "worse"]
    assert "the other does not serve it: HTTP 404" in unserved
    assert unserved.split()[:4] == ["list", "1", "(1..1)", "-"]


def test_a_floor_that_failed_once_has_no_median() -> None:
    assert median([1.0, 3.0, 5.0]) == 3.0
    assert median([1.0, "9 times HTTP 404"]) is None
