"""Polling and holding, on a clock of our own."""

import pytest

from halley.cli.client import PollResult
from halley.cli.failures import ServerRefused, StillRunning, Unreachable
from halley.cli.watching import MAX_FAILURES, WatchTimes, watch


class Timing:
    def __init__(self):
        self.at = 0.0
        self.slept = []

    def monotonic(self):
        return self.at

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.at += seconds

    def random(self):
        return 0.5


class Server:
    """Ends at a given time; `holds` waits as asked, `says` names it in a header, each answer takes `slow` seconds."""

    def __init__(self, timing, *, ends_at, holds=False, says=False, slow=0.0, errors=(), status="succeeded"):
        self.timing, self.ends_at, self.holds, self.says, self.slow = timing, ends_at, holds, says, slow
        self.errors = list(errors)
        self.status = status
        self.waits = []

    def look(self, id, *, wait_seconds=0):
        self.waits.append(wait_seconds)
        if self.errors and self.errors[0] is not None:
            raise self.errors.pop(0)
        if self.errors:
            self.errors.pop(0)
        started = self.timing.at
        self.timing.at += self.slow
        if self.holds and self.timing.at < self.ends_at:
            self.timing.at = min(self.timing.at + wait_seconds, max(self.ends_at, self.timing.at))
        status = self.status if self.timing.at >= self.ends_at else "processing"
        return PollResult(
            prediction={"id": id, "status": status, "output": "x"},
            held=self.says,
            elapsed_seconds=self.timing.at - started,
        )


def follow(server, **options):
    seen = []
    final = watch(server, "p", timing=server.timing, on_look=seen.append, **options)
    return final, seen


def test_a_server_without_holding_is_polled_with_growing_pauses():
    timing = Timing()
    server = Server(timing, ends_at=100)
    final, seen = follow(server)
    assert final["status"] == "succeeded"
    assert len(seen) == len(server.waits) < 25
    assert timing.slept[0] == 0.5
    assert max(timing.slept) == 10.0
    assert server.waits[0] == 0
    assert all(wait >= 1 for wait in server.waits[1:])


@pytest.mark.parametrize("says", [True, False])
def test_a_server_that_holds_is_asked_again_at_once(says):
    timing = Timing()
    server = Server(timing, ends_at=70, holds=True, says=says)
    follow(server)
    assert len(server.waits) <= 6  # one plain look, then 20 s each
    assert len(timing.slept) == 1  # after the plain look


def test_a_server_that_only_claims_to_hold_is_not_asked_in_a_tight_loop():
    timing = Timing()
    server = Server(timing, ends_at=60, says=True)
    follow(server)
    assert len(server.waits) < 20


def test_a_slow_server_is_not_asked_more_often_than_it_can_answer():
    timing = Timing()
    server = Server(timing, ends_at=400, slow=45)
    follow(server)
    assert len(server.waits) == 9


def test_change_brings_short_pauses_back():
    timing = Timing()

    class Changing(Server):
        def look(self, id, *, wait_seconds=0):
            look = super().look(id, wait_seconds=wait_seconds)
            look.prediction["logs"] = "x" * int(self.timing.at // 20)
            return look

    follow(Changing(timing, ends_at=60))
    assert timing.slept.count(0.5) >= 3


def test_a_terminal_answer_to_the_create_needs_no_reading():
    server = Server(Timing(), ends_at=0)
    final, seen = follow(server, created={"id": "p", "status": "aborted"})
    assert (final["status"], seen, server.waits) == ("aborted", [], [])


@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled", "aborted"])
def test_every_terminal_status_ends_it(status):
    assert follow(Server(Timing(), ends_at=3, status=status))[0]["status"] == status


def test_the_time_to_wait_ends_without_touching_the_prediction():
    timing = Timing()
    with pytest.raises(StillRunning, match="30 s"):
        follow(Server(timing, ends_at=1e9), times=WatchTimes(timeout_seconds=30))
    assert timing.at <= 30
    timing = Timing()
    with pytest.raises(StillRunning):
        follow(Server(timing, ends_at=1e9, holds=True), times=WatchTimes(timeout_seconds=30))
    assert timing.at <= 31  # a hold is asked for in whole seconds


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.25, "0.25"),
        (2.5, "2.5"),
        (29.9991, "30"),
        (99.97, "100"),
        (1199.98, "1200"),
        (86400.0, "86400"),
        (2e9, "2000000000"),
    ],
)
def test_the_time_that_has_passed_is_shown_as_a_plain_number(seconds, shown):
    with pytest.raises(StillRunning, match=f"has not ended after {shown} s\\."):
        follow(Server(Timing(), ends_at=1e99, holds=True), times=WatchTimes(timeout_seconds=seconds, hold_seconds=1e6))


def test_a_broken_connection_is_tried_again_for_a_while():
    gone = (
        [None]
        + [Unreachable("gone")] * (MAX_FAILURES - 1)
        + [None, ServerRefused(503, "busy"), ServerRefused(429, "slow")]
    )
    final, _ = follow(Server(Timing(), ends_at=1, errors=gone))
    assert final["status"] == "succeeded"
    with pytest.raises(Unreachable):
        follow(Server(Timing(), ends_at=1e9, errors=[None] + [Unreachable("gone")] * MAX_FAILURES))


def test_trouble_is_reported_once_until_it_ends():
    timing = Timing()
    errors = [None, Unreachable("gone"), Unreachable("gone"), None, Unreachable("again")]
    told = []
    follow(Server(timing, ends_at=100, errors=errors), on_trouble=told.append)
    assert told == ["gone", "again"]


def test_a_refusal_and_a_first_failure_are_final():
    with pytest.raises(ServerRefused):
        follow(Server(Timing(), ends_at=9, errors=[None, ServerRefused(404, "gone")]))
    with pytest.raises(Unreachable):
        follow(Server(Timing(), ends_at=9, errors=[Unreachable("nobody there")]))
