"""The only place where a prediction changes its state.

`TRANSITIONS` is the whole state machine: the stores check with it, the drawing in docs/why/house.md is made from it,
and a test covers every (status, fact) pair. Leases are a second state machine (see queue.WorkQueue): a lost lease
changes the attempt, never the public status, which only moves forward.

Source: contract section 8.1; design section 4.
"""

from datetime import datetime
from typing import Any, Final

import msgspec

from halley.errors import WrongState
from halley.predictions.progress import Progress, final_metrics, times_of
from halley.predictions.records import Prediction
from halley.predictions.status import TERMINAL, Fact, Status

TRANSITIONS: Final[dict[tuple[Status, Fact], Status]] = {
    (Status.STARTING, Fact.STARTED): Status.PROCESSING,
    (Status.STARTING, Fact.FAILED): Status.FAILED,  # setup failed before the first step
    (Status.STARTING, Fact.CANCEL_REQUESTED): Status.CANCELED,
    (Status.STARTING, Fact.DEADLINE_PASSED): Status.ABORTED,  # it never ran
    (Status.STARTING, Fact.QUEUE_TIME_PASSED): Status.ABORTED,
    (Status.PROCESSING, Fact.SUCCEEDED): Status.SUCCEEDED,
    (Status.PROCESSING, Fact.FAILED): Status.FAILED,
    (Status.PROCESSING, Fact.CANCEL_REQUESTED): Status.CANCELED,
    (Status.PROCESSING, Fact.DEADLINE_PASSED): Status.CANCELED,  # it ran and was cut short
    (Status.PROCESSING, Fact.QUEUE_TIME_PASSED): Status.FAILED,  # its first attempt was lost, and no second one began
}

REASONS: Final[dict[tuple[Status, Fact], str]] = {
    (Status.STARTING, Fact.DEADLINE_PASSED): "deadline_before_start",
    (Status.PROCESSING, Fact.DEADLINE_PASSED): "deadline",
    (Status.STARTING, Fact.QUEUE_TIME_PASSED): "queue_time",
    (Status.PROCESSING, Fact.QUEUE_TIME_PASSED): "queue_time",
}


NO_INPUT: Final = b"{}"
_SUCCEEDED: Final = Status.SUCCEEDED
_STARTED: Final = Fact.STARTED  # reading a member from its class takes three times as long
_CANCEL_REQUESTED: Final = Fact.CANCEL_REQUESTED


def applies(status: Status, fact: Fact) -> bool:
    """True if the fact may happen to a prediction of this status."""
    return (status, fact) in TRANSITIONS


def advance(prediction: Prediction, fact: Fact, at: datetime, **changes: Any) -> Prediction:
    """The prediction after the fact; the revision grows by one.

    Raises:
        WrongState: the table has no such step.
    """
    target = TRANSITIONS.get((prediction.status, fact))
    if target is None:
        raise _does_not_apply(prediction, fact, prediction.status)
    if target is Status.PROCESSING:
        changes["started_at"] = at
    elif target in TERMINAL:
        changes["completed_at"] = at
        changes.setdefault("termination_reason", REASONS.get((prediction.status, fact)))
    if fact is Fact.CANCEL_REQUESTED:
        changes["cancel_requested_at"] = at
    return msgspec.structs.replace(prediction, status=target, revision=prediction.revision + 1, **changes)


def without_data(prediction: Prediction, at: datetime) -> Prediction:
    """The prediction after its data was removed; the revision grows by one.

    The history stays: status, times, error, metrics, and the receiver of its webhook. Source: contract 8.5 and D13.
    """
    return msgspec.structs.replace(
        prediction, input=NO_INPUT, output=None, files=(), logs="", data_removed_at=at, revision=prediction.revision + 1
    )


def conclude(
    prediction: Prediction,
    fact: Fact,
    at: datetime,
    progress: Progress,
    *,
    started_at: datetime | None = None,
    error: str | None = None,
    reason: str | None = None,
    predict_time: float | None = None,
) -> Prediction:
    """The terminal prediction, with the content of its events folded into the row.

    `predict_time` is in seconds; without it, the time since it started is used. With `started_at` it starts in the same
    step. A reason given here is stored in place of the table's.

    Raises:
        WrongState: the fact does not end a prediction of this status.
    """
    if fact is _STARTED:
        raise WrongState(f"{fact} does not end a prediction")
    status = prediction.status
    if started_at is None:
        started_at = prediction.started_at
    else:
        status = TRANSITIONS.get((status, _STARTED), status)
    step = status, fact
    target = TRANSITIONS.get(step)
    if target is None:
        raise _does_not_apply(prediction, fact, status)
    return msgspec.structs.replace(
        prediction,
        status=target,
        revision=prediction.revision + 1,
        started_at=started_at,
        completed_at=at,
        cancel_requested_at=at if fact is _CANCEL_REQUESTED else prediction.cancel_requested_at,
        termination_reason=REASONS.get(step) if reason is None else reason,
        output=progress.output,
        files=progress.files,
        logs=progress.logs,
        error=error,
        metrics=final_metrics(prediction.created_at, started_at, progress, at, predict_time),
    )


def conclude_returned(
    prediction: Prediction, at: datetime, started_at: datetime, output: bytes, predict_time: float | None
) -> Prediction:
    """As `conclude` for a prediction that has not started, and has nothing but this output without files."""
    return msgspec.structs.replace(
        prediction,
        status=_SUCCEEDED,
        revision=prediction.revision + 1,
        started_at=started_at,
        completed_at=at,
        output=output,
        metrics=times_of(prediction.created_at, started_at, at, predict_time),
    )


def _does_not_apply(prediction: Prediction, fact: Fact, status: Status) -> WrongState:
    return WrongState(f"{fact} does not apply to prediction {prediction.id}, which is {status}")
