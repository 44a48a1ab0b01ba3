"""The values of the lifecycle."""

from enum import StrEnum
from typing import Final, assert_never


class Status(StrEnum):
    """The state of a prediction. Source: contract section 8.1."""

    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    ABORTED = "aborted"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


# Each question about a status is one `match` over all values, so that mypy names every place to change for a new one.


def _is_terminal(status: Status) -> bool:
    match status:
        case Status.STARTING | Status.PROCESSING:
            return False
        case Status.SUCCEEDED | Status.FAILED | Status.CANCELED | Status.ABORTED:
            return True
        case _:
            assert_never(status)


def _has_error(status: Status) -> bool:
    match status:
        case Status.FAILED:
            return True
        case Status.STARTING | Status.PROCESSING | Status.SUCCEEDED | Status.CANCELED | Status.ABORTED:
            return False
        case _:
            assert_never(status)


def _lacks_result(status: Status) -> bool:
    match status:
        case Status.FAILED | Status.ABORTED:
            return True
        case Status.STARTING | Status.PROCESSING | Status.SUCCEEDED | Status.CANCELED:
            return False
        case _:
            assert_never(status)


def has_succeeded(status: Status) -> bool:
    """Whether it has a result."""
    match status:
        case Status.SUCCEEDED:
            return True
        case Status.STARTING | Status.PROCESSING | Status.FAILED | Status.CANCELED | Status.ABORTED:
            return False
        case _:
            assert_never(status)


def was_canceled(status: Status) -> bool:
    """Whether a cancel ended it."""
    match status:
        case Status.CANCELED:
            return True
        case Status.STARTING | Status.PROCESSING | Status.SUCCEEDED | Status.FAILED | Status.ABORTED:
            return False
        case _:
            assert_never(status)


TERMINAL: Final = frozenset(filter(_is_terminal, Status))
LIVE: Final = frozenset(Status) - TERMINAL
WITH_ERROR: Final = frozenset(filter(_has_error, Status))
"""The statuses with an error for people; the others have at most a reason (contract D3)."""
UNSUCCESSFUL: Final = frozenset(filter(_lacks_result, Status))
"""They ended without a result, and not because a caller asked for it."""


class Fact(StrEnum):
    """What can happen to a prediction that changes its status."""

    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCEL_REQUESTED = "cancel_requested"
    DEADLINE_PASSED = "deadline_passed"  # the caller's `Cancel-After`
    QUEUE_TIME_PASSED = "queue_time_passed"  # no worker claimed it within max_queue_seconds


class SubmitState(StrEnum):
    """The progress of submitting it to a provider that continues without us; None: nothing was begun there."""

    INTENDED = "intended"  # it may have been submitted: the provider is asked before another submit
    SUBMITTED = "submitted"  # the provider returned a handle, which is stored
    UNKNOWN = "unknown"  # final: it is never submitted again


class Kind(StrEnum):
    """Predictions and trainings use the same code."""

    PREDICTION = "prediction"
    TRAINING = "training"


class Source(StrEnum):
    """The creator: an API client or our own playground."""

    API = "api"
    WEB = "web"


class EventKind(StrEnum):
    """The kinds of events in the log of a prediction.

    After the data is removed only events of history are left (LASTING).
    """

    CREATED = "created"
    STARTED = "started"  # data: StartedAt if it runs elsewhere
    LOGGED = "logged"  # data: JSON string, verbatim text
    OUTPUT_ADDED = "output_added"  # data: OutputItem, one item of an iterator
    OUTPUT_SET = "output_set"  # data: OutputItem, the whole output of a model that returns once
    OUTPUT_NOT_KEPT = "output_not_kept"  # data: NotKept; the end follows
    METRIC_RECORDED = "metric_recorded"  # data: MetricItem
    PROGRESSED = "progressed"  # data: Step, read from a progress bar in the logs; at most a few a second
    ATTEMPT_LOST = "attempt_lost"  # the holder of the lease died; data: JSON string with the mark line
    CANCEL_REQUESTED = "cancel_requested"  # a cancel was requested; FINISHED follows in the same transaction
    FINISHED = "finished"  # data: Finish
    DATA_REMOVED = "data_removed"
    REPEATED = (
        "repeated"  # a repeated create was answered with this prediction; data: JSON string, how it was recognised
    )
    LINKED = "linked"  # another prediction continues this one, or this continues it; data: settlements.Link


OUTPUT_KINDS: Final = frozenset({EventKind.OUTPUT_ADDED, EventKind.OUTPUT_SET})

LASTING: Final = frozenset(
    {
        EventKind.CREATED,
        EventKind.STARTED,
        EventKind.CANCEL_REQUESTED,
        EventKind.FINISHED,
        EventKind.DATA_REMOVED,
        EventKind.REPEATED,
        EventKind.LINKED,
    }
)
