"""The clock of a store: small steps, large steps, transactions that were rolled back, and ages."""

import random
from datetime import timedelta

import pytest

from halley.ids import TimeOrderedIds, first_id_at
from halley.store.ages import Ages, ClockMove
from halley.store.wall_clock import WallClock
from halley.testing.clock import FakeClock

DAY = 86_400.0


def test_small_clock_steps_are_followed_and_large_ones_are_detected() -> None:
    clock = FakeClock()
    wall = WallClock(clock, "")
    for _ in range(10):
        clock.advance(60)
        clock.jump(1.9)
        assert round(wall.look(), 3) == 1.9
        assert wall.now == clock.now()
        wall.keep()
    for by in (-5, DAY, -DAY):
        clock.jump(by)
        assert round(wall.look(), 3) == by
        assert wall.now == clock.now()
        wall.keep()
        assert round(wall.look(), 3) == 0.0, "each once"
    clock.suspend(1000)
    assert round(wall.look(), 3) == 0.0


def test_what_a_transaction_noticed_that_was_rolled_back_is_noticed_again() -> None:
    clock = FakeClock()
    wall = WallClock(clock, "")
    clock.jump(DAY)
    for _ in range(3):
        clock.advance(1)
        assert round(wall.look(), 3) == DAY
    wall.keep()
    assert round(wall.look(), 3) == 0.0


def test_clocks_that_cannot_be_read_together_are_not_compared() -> None:
    clock = SlowClock()
    wall = WallClock(clock, "")
    clock.jump(DAY)
    clock.pause = 5.0
    assert wall.look() == 0.0
    assert not wall.is_sharp
    wall.keep()
    clock.pause = 0.0
    assert round(wall.look(), 3) == DAY


class SlowClock(FakeClock):
    """The process is paused between two readings."""

    pause = 0.0

    def elapsed(self) -> float:
        self.advance(self.pause)
        return super().elapsed()


@pytest.mark.parametrize("by", [DAY, -DAY, 10.0, -10.0])
def test_a_reading_from_before_the_change_is_corrected_for_half_a_minute(by: float) -> None:
    clock = FakeClock()
    wall = WallClock(clock, "")
    before = clock.now()
    assert wall.current(before) == before
    clock.jump(by)
    wall.note_move(wall.look())
    assert wall.current(before) == clock.now()
    assert wall.current(clock.now()) == clock.now()
    clock.advance(31)
    wall.look()
    assert wall.current(before) == before, "whoever gives a time that old means it"


def test_ages_are_given_in_elapsed_time() -> None:
    clock = FakeClock()
    new_id = TimeOrderedIds(clock)
    ages = Ages(clock.now(), clock.elapsed(), "", ())
    made: list[tuple[float, str]] = []
    for _ in range(400):
        clock.advance(1)
        if clock.elapsed() % 97 == 0:
            clock.jump(random.Random(clock.elapsed()).uniform(-500, 500))
        made.append((clock.elapsed(), new_id()))
        ages.mark(clock.now(), clock.elapsed(), made[-1][1])
        bound = ages.older_than(100.0, clock.elapsed())
        assert [one for at, one in made if at < clock.elapsed() - 101 and one >= bound] == [], "all that are older"
        assert [one for at, one in made if at > clock.elapsed() - 99 and one < bound] == [], "none that are younger"


def test_the_age_of_one_is_given_in_elapsed_time() -> None:
    clock = FakeClock()
    new_id = TimeOrderedIds(clock)
    ages = Ages(clock.now(), clock.elapsed(), "", ())
    made = []
    for _ in range(300):
        clock.advance(1)
        if clock.elapsed() % 97 == 0:
            clock.jump(random.Random(clock.elapsed()).uniform(-500, 500))
        made.append((clock.elapsed(), new_id(), clock.now()))
        ages.mark(clock.now(), clock.elapsed(), made[-1][1])
    for at, one, created_at in made:
        assert abs(ages.age(one, created_at, clock.elapsed()) - (clock.elapsed() - at)) <= 1


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_stored_clock_marks_give_ages_from_before_the_start(by: float) -> None:
    clock = FakeClock()
    new_id = TimeOrderedIds(clock)
    old, created_at = first_id_at(clock.now()), clock.now()
    clock.advance(500)
    clock.jump(by)
    newest = new_id()
    moved = ClockMove(at=clock.now(), by_seconds=by, since_id=first_id_at(created_at + timedelta(seconds=499)))
    clock.advance(100)
    ages = Ages(clock.now(), clock.elapsed(), max(newest, moved.since_id), [moved])
    assert ages.older_than(600.0, clock.elapsed()) == old
    assert round(ages.age(old, created_at, clock.elapsed()), 3) == 600


def test_marks_of_the_distant_past_are_thinned_and_tell_ages_still() -> None:
    clock = FakeClock()
    new_id = TimeOrderedIds(clock)
    ages = Ages(clock.now(), clock.elapsed(), "", ())
    made = []
    for _ in range(20_000):
        clock.advance(1)
        made.append((clock.elapsed(), new_id()))
        ages.mark(clock.now(), clock.elapsed(), made[-1][1])
    assert len(ages._marks) <= 4001
    for seconds in (10.0, 300.0, 5_000.0, 19_000.0):
        bound, due = ages.older_than(seconds, clock.elapsed()), clock.elapsed() - seconds
        slack = 1 + seconds / 100
        assert [one for at, one in made if at < due - slack and one >= bound] == []
        assert [one for at, one in made if at > due + slack and one < bound] == []
