"""State of a prediction that is submitted to a provider which continues without us, so that it is submitted once.

`SubmitState` names the steps; every store follows the same rules (`queue.SubmitLedger`).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import ceil
from typing import Final

import msgspec

from halley.errors import SubmitLimitReached
from halley.predictions.records import Event, OutputItem
from halley.predictions.status import EventKind, SubmitState

MAY_RUN_ELSEWHERE: Final = frozenset({SubmitState.INTENDED, SubmitState.SUBMITTED})
"""The next worker with such a prediction adopts its run, or cancels the run if the prediction has ended."""

ADOPTION_SECONDS: Final = 60.0  # time for adoption, before such a waiting prediction may be ended for waiting too long

UNKNOWN_REASON: Final = "upstream_outcome_unknown"
UNKNOWN_ERROR: Final = (
    "Whether this prediction ran at its provider is not known. It is not submitted again: it could be paid for twice."
)

COUNTED_TIME: Final = timedelta(hours=24)
"""So long a submit counts for `SubmitCount.most`."""


class SubmitCount(msgspec.Struct, frozen=True):
    """A submit counts from `at`. It is refused if `most` others count then; None: any number may. `place` stands for
    the address and token that its provider has now; "" if that is not known.
    """

    at: datetime
    most: int | None = None
    place: str = ""


def limit_reached(provider: str, most: int, seconds: float) -> SubmitLimitReached:
    """The refusal of a submit; `seconds`: until the next one is allowed."""
    return SubmitLimitReached(f"{provider}: {why_no_more(most, seconds)}", seconds=seconds)


def why_no_more(most: int, seconds: float) -> str:
    """Says that the limit is reached, and until when."""
    minutes = ceil(seconds / 60)
    wait = f"{minutes} min" if minutes < 100 else f"{ceil(seconds / 3600)} h"
    return f"its limit of {most} submits in 24 hours (max_submits_per_day) is reached; the next is possible in {wait}"


_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_output: Final = msgspec.json.Decoder(OutputItem).decode


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a run's progress is already in the event log: an adopting worker skips that part. `place` is that of
    its submit (`SubmitCount`), for as long as that counts or the prediction has not ended.
    """

    has_started: bool = False
    log_chars: int = 0
    outputs: int = 0
    files: int = 0
    metrics: int = 0
    place: str = ""


def recorded_in(events: Iterable[Event]) -> Recorded:
    """The recorded part of the present attempt in these events of one prediction; an earlier attempt ran here."""
    has_started, log_chars, outputs, files, metrics = False, 0, 0, 0, 0
    for event in events:
        if event.kind is EventKind.STARTED:
            has_started = True
        elif event.kind is EventKind.LOGGED:
            log_chars += len(_decode_text(event.data))
        elif event.kind is EventKind.OUTPUT_ADDED or event.kind is EventKind.OUTPUT_SET:
            outputs += 1
            files += len(_decode_output(event.data).files)
        elif event.kind is EventKind.METRIC_RECORDED:
            metrics += 1
        elif event.kind is EventKind.ATTEMPT_LOST:
            log_chars, outputs, files, metrics = 0, 0, 0, 0
    return Recorded(has_started=has_started, log_chars=log_chars, outputs=outputs, files=files, metrics=metrics)
