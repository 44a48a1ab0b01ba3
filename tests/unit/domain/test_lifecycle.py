"""The one table, walked in full."""

import itertools
import random
from datetime import timedelta

import msgspec
import pytest

from halley.errors import WrongState
from halley.predictions.lifecycle import TRANSITIONS, advance, applies, conclude
from halley.predictions.progress import Progress, final_metrics, fold
from halley.predictions.records import MetricItem, NewEvent, OutputFile, OutputItem, Prediction
from halley.predictions.status import TERMINAL, EventKind, Fact, Status
from halley.testing.clock import T0

PICTURE = OutputFile(
    ref="asset:p/0/a.png", index=0, name="a.png", sha256="0" * 64, size_bytes=3, content_type="image/png"
)


def prediction(status: Status = Status.STARTING) -> Prediction:
    return Prediction(
        id="p" * 26, account_id="a", model="demo/noop", version="0" * 64, input=b"{}", status=status, created_at=T0
    )


@pytest.mark.parametrize(("status", "fact"), list(itertools.product(Status, Fact)))
def test_every_pair_of_status_and_fact(status: Status, fact: Fact) -> None:
    before = prediction(status)
    target = TRANSITIONS.get((status, fact))
    assert applies(status, fact) is (target is not None)
    if target is None:
        with pytest.raises(WrongState, match=before.id):
            advance(before, fact, T0)
        return
    after = advance(before, fact, T0)
    assert after.status is target
    assert after.revision == before.revision + 1
    assert (after.completed_at == T0) is (target in TERMINAL)


def test_nothing_leaves_a_terminal_status() -> None:
    assert not any(status in TERMINAL for status, _ in TRANSITIONS)


def test_every_status_can_be_reached() -> None:
    assert {*TRANSITIONS.values(), Status.STARTING} == set(Status)


def test_a_deadline_aborts_what_never_ran_and_cancels_what_ran() -> None:
    waiting = conclude(prediction(), Fact.DEADLINE_PASSED, T0, Progress())
    running = conclude(prediction(Status.PROCESSING), Fact.DEADLINE_PASSED, T0, Progress())
    assert (waiting.status, waiting.termination_reason) == (Status.ABORTED, "deadline_before_start")
    assert (running.status, running.termination_reason) == (Status.CANCELED, "deadline")


def test_started_is_not_an_end() -> None:
    with pytest.raises(WrongState):
        conclude(prediction(), Fact.STARTED, T0, Progress())


def test_the_end_carries_everything_the_events_said() -> None:
    events = [
        event(EventKind.LOGGED, "one\n"),
        event(EventKind.OUTPUT_ADDED, OutputItem(value=msgspec.Raw(b'"asset:p/0/a.png"'), files=(PICTURE,))),
        event(EventKind.METRIC_RECORDED, MetricItem(name="timing.load", value=1.5)),
        event(EventKind.LOGGED, "two\n"),
    ]
    started = advance(prediction(), Fact.STARTED, T0 + timedelta(seconds=1))
    done = conclude(started, Fact.SUCCEEDED, T0 + timedelta(seconds=3), fold(events), predict_time=1.75)
    assert done.logs == "one\ntwo\n"
    assert done.output == b'["asset:p/0/a.png"]'
    assert done.files == (PICTURE,)
    assert done.metrics == {"timing": {"load": 1.5}, "predict_time": 1.75, "total_time": 3.0, "image_count": 1}


def test_what_never_ran_has_no_predict_time() -> None:
    done = conclude(prediction(), Fact.CANCEL_REQUESTED, T0 + timedelta(seconds=2), Progress())
    assert done.metrics == {"total_time": 2.0}
    assert done.cancel_requested_at == T0 + timedelta(seconds=2)
    assert done.output is None


def event(kind: EventKind, data: object) -> NewEvent:
    return NewEvent(kind=kind, at=T0, data=msgspec.json.encode(data))


@pytest.mark.parametrize("fact", [fact for fact in Fact if fact is not Fact.STARTED])
@pytest.mark.parametrize("predict_time", [None, 1.5])
def test_a_start_in_the_same_step_is_as_one_before_it(fact: Fact, predict_time: float | None) -> None:
    began, at = T0 + timedelta(seconds=1), T0 + timedelta(seconds=3)
    progress = fold([NewEvent(kind=EventKind.LOGGED, at=began, data=b'"a"')])
    started = msgspec.structs.replace(advance(prediction(), Fact.STARTED, began), revision=1)
    before = conclude(started, fact, at, progress, predict_time=predict_time)
    assert conclude(prediction(), fact, at, progress, started_at=began, predict_time=predict_time) == before


@pytest.mark.parametrize("most", [10, 10**6, 10**9, 10**13])
def test_elapsed_time_has_six_digits_without_rounding(most: int) -> None:
    for micros in random.Random(most).sample(range(most), 10):
        at = T0 + timedelta(microseconds=micros)
        metrics = final_metrics(T0, T0, Progress(), at, None)
        assert metrics == {"predict_time": round(micros / 1e6, 6), "total_time": round(micros / 1e6, 6)}
