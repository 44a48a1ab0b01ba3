"""What replicas print outside of predictions: kept by model, and told to the server's log within bounds."""

import logging

import pytest

from halley.replicas.host import Origin
from halley.replicas.replica_log import LINE_CHARS, LogRules, ReplicaLogs
from halley.testing.clock import FakeClock

ONE = Origin(model="acme/one", version="v1", pid=11)
TWIN = Origin(model="acme/one", version="v1", pid=12)
OTHER = Origin(model="acme/other", version="v9", pid=13)
TOO_MANY = (
    "acme/one prints more than 4 lines a minute outside of predictions: the rest is left out here "
    "(limits.own_log_lines_per_minute); `halley models logs acme/one` shows the last ones"
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def logs(clock: FakeClock) -> ReplicaLogs:
    return ReplicaLogs(clock, LogRules(kept_lines=5, lines_per_minute=4))


def texts(logs: ReplicaLogs, model: str = "acme/one", after: int = 0) -> list[str]:
    return [line.text for line in logs.lines(model, after)]


def test_lines_are_kept_by_model_with_their_process(logs: ReplicaLogs) -> None:
    logs.on_text(ONE, "loading\nloa")
    logs.on_text(TWIN, "I am the twin\n")
    logs.on_text(OTHER, "elsewhere\n")
    logs.on_text(ONE, "ded\n")
    assert [(line.number, line.pid, line.text) for line in logs.lines("acme/one")] == [
        (1, 11, "loading"),
        (2, 12, "I am the twin"),
        (3, 11, "loaded"),
    ]
    assert [(line.version, line.text) for line in logs.lines("acme/other")] == [("v9", "elsewhere")]
    assert logs.lines("acme/unheard-of") == ()


def test_the_last_lines_are_kept_and_found_by_number(logs: ReplicaLogs) -> None:
    logs.on_text(ONE, "".join(f"{n}\n" for n in range(1, 8)))
    assert texts(logs) == ["3", "4", "5", "6", "7"]
    assert texts(logs, after=5) == ["6", "7"]
    logs.on_text(ONE, "".join(f"{n}\n" for n in range(8, 100_001)))
    assert texts(logs) == ["99996", "99997", "99998", "99999", "100000"]
    assert [line.number for line in logs.lines("acme/one", 99_998)] == [99_999, 100_000]


def test_a_progress_bar_is_one_line_as_a_terminal_would_show_it(logs: ReplicaLogs) -> None:
    logs.on_text(ONE, "  0%|   | 0/2\r")
    logs.on_text(ONE, " 50%|#  | 1/2\r")
    logs.on_text(ONE, "100%|###| 2/2\nready\r\n")
    assert texts(logs) == ["100%|###| 2/2", "ready"]


def test_an_unfinished_line_is_shown_after_a_time_or_when_its_process_ends(logs: ReplicaLogs, clock: FakeClock) -> None:
    logs.on_text(ONE, "Loading weights...")
    assert texts(logs) == []
    clock.advance(2)
    assert texts(logs) == ["Loading weights..."]
    logs.on_text(ONE, " done\n")
    logs.on_text(TWIN, "half a")
    logs.on_exit(TWIN)
    logs.on_exit(TWIN)
    logs.on_exit(OTHER)
    assert texts(logs) == ["Loading weights...", " done", "half a"]


def test_long_lines_are_cut_however_they_come(logs: ReplicaLogs) -> None:
    for _ in range(100):
        logs.on_text(ONE, "x" * 1000)
    logs.on_text(ONE, "\n" + "y" * 10**6 + "\n")
    assert texts(logs) == ["x" * LINE_CHARS, "y" * LINE_CHARS]


def test_the_servers_log_repeats_lines_with_model_and_process(
    logs: ReplicaLogs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    logs.on_text(ONE, "one\n\n   \ntwo \x1b[31mred\x1b[0m\x07\n")
    assert caplog.messages == ["acme/one[11]: one", "acme/one[11]: two  [31mred [0m"]


def test_a_flood_does_not_fill_the_servers_log(
    logs: ReplicaLogs, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    logs.on_text(OTHER, "quiet\n")
    for n in range(1000):
        logs.on_text(ONE, f"{n}\n{n}\n{n}\n")
    assert caplog.messages == [
        "acme/other[13]: quiet",
        *("acme/one[11]: 0", "acme/one[11]: 0", "acme/one[11]: 0", "acme/one[11]: 1"),
        TOO_MANY,
    ]
    assert texts(logs) == ["998", "998", "999", "999", "999"]
    caplog.clear()
    clock.advance(61)
    logs.on_text(ONE, "calm again\n")
    assert caplog.messages == ["acme/one: 2996 more lines were left out here", "acme/one[11]: calm again"]


def test_no_lines_a_minute_keep_the_servers_log_free(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logs = ReplicaLogs(clock, LogRules(lines_per_minute=0))
    logs.on_text(ONE, "one\n")
    assert caplog.messages == []
    assert texts(logs) == ["one"]
