"""The time by which data is destroyed, while the wall clock jumps."""

from datetime import timedelta

from halley.retention.retention_clock import LEAP, SETTLE_SECONDS, RetentionClock
from halley.testing.clock import T0, FakeClock

DAY = 86_400.0


def test_it_follows_a_clock_that_runs_evenly() -> None:
    clock = FakeClock()
    calendar = RetentionClock(clock, None)
    for seconds in (1, 3600, 31 * DAY):
        clock.advance(seconds)
        assert calendar.now() == clock.now()


def test_it_follows_small_corrections_and_every_step_back() -> None:
    clock = FakeClock()
    calendar = RetentionClock(clock, None)
    for seconds in (LEAP.total_seconds(), -LEAP.total_seconds(), -DAY, -400 * DAY):
        clock.jump(seconds)
        assert calendar.now() == clock.now()
        clock.advance(60)
        assert calendar.now() == clock.now()


def test_a_clock_jump_that_is_reverted_is_never_accepted() -> None:
    clock = FakeClock()
    calendar = RetentionClock(clock, None)
    clock.jump(DAY)
    for _ in range(50):
        clock.advance(SETTLE_SECONDS / 60)
        assert calendar.now() == clock.now() - timedelta(seconds=DAY), "it goes on evenly"
    clock.jump(-DAY)
    clock.advance(DAY)
    assert calendar.now() == clock.now()


def test_a_clock_jump_that_stays_is_accepted_in_the_end() -> None:
    clock = FakeClock()
    calendar = RetentionClock(clock, None)
    clock.jump(DAY)
    assert calendar.now() == T0
    clock.advance(SETTLE_SECONDS - 1)
    assert calendar.now() == T0 + timedelta(seconds=SETTLE_SECONDS - 1)
    clock.advance(1)
    assert calendar.now() == clock.now()


def test_a_second_clock_jump_restarts_the_wait() -> None:
    clock = FakeClock()
    calendar = RetentionClock(clock, None)
    clock.jump(DAY)
    calendar.now()
    clock.advance(SETTLE_SECONDS - 60)
    clock.jump(DAY)
    assert calendar.now() < clock.now()
    clock.advance(120)
    assert calendar.now() == clock.now() - timedelta(seconds=2 * DAY)


def test_a_step_back_and_forward_again_is_a_clock_jump() -> None:
    clock = FakeClock()
    calendar = RetentionClock(clock, None)
    clock.jump(-DAY)
    assert calendar.now() == clock.now()
    clock.jump(DAY)
    assert calendar.now() == clock.now() - timedelta(seconds=DAY)
    clock.advance(SETTLE_SECONDS)
    assert calendar.now() == clock.now()


def test_after_a_long_stop_it_begins_where_time_was_last_known() -> None:
    clock = FakeClock()
    calendar = RetentionClock(clock, T0 - timedelta(days=7))
    assert calendar.now() == T0 - timedelta(days=7)
    clock.advance(SETTLE_SECONDS - 1)
    assert calendar.now() == clock.now() - timedelta(days=7)
    clock.advance(1)
    assert calendar.now() == clock.now()


def test_a_last_known_time_in_the_future_was_a_wrong_clocks() -> None:
    clock = FakeClock()
    assert RetentionClock(clock, T0 + timedelta(days=1)).now() == T0
