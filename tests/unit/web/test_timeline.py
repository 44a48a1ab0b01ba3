"""The timeline of a prediction in words."""

from typing import Any

import msgspec
import pytest

from halley.web.views.durations import in_words, seconds_between, size_in_words
from halley.web.views.run import ShownRun
from halley.web.views.timeline import LoggedEvent, attempts, phases, steps

T0 = "2026-03-12T11:27:18.000000Z"


def at(seconds: float) -> str:
    return f"2026-03-12T11:27:{18 + seconds:09.6f}Z"


def run(**more: Any) -> ShownRun:
    return ShownRun(**({"id": "p", "model": "a/b", "version": "1", "status": "succeeded", "created_at": T0} | more))


def event(name: str, seconds: float, data: object = None, *, attempt: int = 1, seq: int = 1) -> LoggedEvent:
    raw = msgspec.Raw(msgspec.json.encode(data))
    return LoggedEvent(seq=seq, event=name, attempt=attempt, at=at(seconds), data=raw)


@pytest.mark.parametrize(("seconds", "words"), [
    (None, ""), (0.0, "0 ms"), (0.0214, "21 ms"), (0.25, "0.25 s"), (12.44, "12.4 s"), (59.96, "1 min"), (60, "1 min"),
    (200, "3 min 20 s"), (3600, "1 h"), (7500, "2 h 5 min"), (187_200, "2 d 4 h"),
])  # fmt: skip
def test_durations(seconds: float | None, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.parametrize(("size", "words"), [
    (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 KB"), (1_234_567, "1.2 MB"),
    (999_999_999, "1.0 GB"), (5 * 10**12, "5.0 TB"),
])  # fmt: skip
def test_sizes(size: int, words: str) -> None:
    assert size_in_words(size) == words


def test_unreadable_times_have_no_distance() -> None:
    assert seconds_between(T0, None) is None
    assert seconds_between("yesterday", T0) is None
    assert seconds_between(T0, "2026-03-12T11:27:18") is None  # without a zone
    assert seconds_between(at(2), at(1)) == 0.0


def test_phases_of_each_state() -> None:
    waiting = phases(run(status="starting"))
    assert [(one.name, one.began_at, one.duration, one.is_open) for one in waiting] == [("waited", T0, "", True)]
    running = phases(run(status="processing", started_at=at(1)))
    assert [(one.name, one.began_at, one.duration, one.is_open) for one in running] == [
        ("waited", T0, "1.0 s", False), ("ran", at(1), "", True),
    ]  # fmt: skip
    ended = phases(run(started_at=at(1), completed_at=at(1.5)))
    assert [(one.duration, one.is_open) for one in ended] == [("1.0 s", False), ("0.50 s", False)]
    aborted = phases(run(status="aborted", completed_at=at(9)))
    assert [(one.name, one.seconds, one.is_open) for one in aborted] == [("waited", 9.0, False)]


def test_events_in_words() -> None:
    shown = steps(T0, [
        event("status", 0, {"status": "starting"}),
        event("status", 1, {"status": "processing", "provider": "cloud", "upstream_id": "up1"}),
        event("logs", 1.5, {"text": "<b>" + "x" * 1000}),
        event("progress", 2, {"fraction": 0.5, "current": 4, "total": 8}),
        event("metric", 2, {"name": "n", "value": 3, "mode": "incr"}),
        event("output", 3, {"value": "y" * 10_000, "is_item": True}),
        event("attempt_lost", 4, {"text": "lost"}),
        event("cancel_requested", 5, {}),
        event("status", 6, {"status": "failed", "error": "ValueError", "termination_reason": "model_error"}),
        event("repeated", 7, {"how": "dropped"}),
        event("linked", 8, {"how": "retried", "continued_by": "q"}),
        event("surprise", 9, {"new": 1}),
    ])  # fmt: skip
    assert [one.title for one in shown] == [
        "Created", "Started", "Log", "Progress", "Metric", "Output", "Attempt lost", "Cancel requested", "Failed",
        "Answered a repeated create", "Continued by", "surprise",
    ]  # fmt: skip
    assert shown[1].detail == "at cloud as up1"
    assert shown[3].detail == "50% (4 of 8)"
    assert shown[4].detail == "n + 3"
    assert shown[8].detail == "model_error: ValueError"
    assert shown[1].offset == "+1.0 s"
    assert max(len(one.detail) for one in shown) == 400


def test_attempts() -> None:
    log = [
        event("status", 0, {"status": "starting"}),
        event("status", 1, {"status": "processing"}),
        event("status", 5, {"status": "processing", "provider": "cloud", "upstream_id": "up2"}, attempt=2),
        event("status", 6, {"status": "succeeded"}, attempt=2),
    ]
    found = attempts(run(completed_at=at(6)), log)
    assert [(one.number, one.provider, one.upstream_id, one.end) for one in found] == [
        (1, None, None, "lost"), (2, "cloud", "up2", "succeeded"),
    ]  # fmt: skip
    assert found[0].ended_at == at(5)
    assert attempts(run(status="processing"), log[:2])[0].end == ""
