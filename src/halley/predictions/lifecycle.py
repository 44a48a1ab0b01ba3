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
from halley.predictions.progress import Progress, final_metrics
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
        raise WrongState(f"{fact} does not apply to prediction {prediction.id}, which is {prediction.status}")
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
    error: str | None = None,
    reason: str | None = None,
    predict_time: float | None = None,
) -> Prediction:
    """The terminal prediction, with the content of its events folded into the row.

    `predict_time` is in seconds; without it, the time since `started_at` is used. A reason given here is stored unless
    the table has one (a deadline's reason has priority).

    Raises:
        WrongState: the fact does not end a prediction of this status.
    """
    if fact is Fact.STARTED:
        raise WrongState(f"{fact} does not end a prediction")
    changes: dict[str, Any] = {
        "output": progress.output,
        "files": progress.files,
        "logs": progress.logs,
        "error": error,
        "metrics": final_metrics(prediction, progress, at, predict_time),
    }
    if reason is not None:
        changes["termination_reason"] = reason
    return advance(prediction, fact, at, **changes)
