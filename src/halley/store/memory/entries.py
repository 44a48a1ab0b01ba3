"""The entry of a prediction in memory, and how a method becomes an awaitable that has already run."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import wraps
from itertools import accumulate
from typing import Final, ParamSpec, TypeVar

import msgspec

from halley.predictions.lifecycle import advance, conclude
from halley.predictions.progress import Progress, fold, late_logs
from halley.predictions.queue import Lease
from halley.predictions.records import Event, Finish, NewEvent, Prediction
from halley.predictions.status import OUTPUT_KINDS, EventKind, Fact, Status, SubmitState
from halley.predictions.submits import MAY_RUN_ELSEWHERE, UNKNOWN_ERROR, UNKNOWN_REASON

P = ParamSpec("P")
T = TypeVar("T")

DISTANT_PAST: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def at_once(method: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Run it when called, not when awaited: even a cancelled caller has written."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(method(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - any error reaches the caller where it awaits
            future.set_exception(error)
        return future

    return call


def tell(awaitable: Awaitable[T], told: Callable[[T | Exception], None]) -> None:
    """Give the outcome or the error to the callback, in a later turn of the event loop."""

    def done(future: asyncio.Future[T]) -> None:
        error = future.exception()
        if error is None:
            told(future.result())
        elif isinstance(error, Exception):
            told(error)

    asyncio.ensure_future(awaitable).add_done_callback(done)


class QueueEntry:
    """A prediction's place in the queue: waiting if it has no holder."""

    def __init__(self, work_input: bytes | None, context: bytes | None) -> None:
        self.work_input = work_input
        self.context = context
        self.holder: str | None = None
        self.fence = 0
        self.attempt = 0
        self.alone = False
        self.ready_at = DISTANT_PAST


class Entry:
    """A prediction, its events, and its place in the queue while it has one."""

    def __init__(self, prediction: Prediction, place: QueueEntry) -> None:
        self.prediction = prediction
        self.place: QueueEntry | None = place
        self.events: list[Event] = []

    @property
    def waits(self) -> bool:
        return self.place is not None and self.place.holder is None

    @property
    def lease(self) -> Lease | None:
        place = self.place
        if place is None or place.holder is None:
            return None
        return Lease(
            prediction_id=self.prediction.id, session_id=place.holder, fence=place.fence, attempt=place.attempt
        )

    @property
    def progress(self) -> Progress:
        return fold(self.events)

    def move_deadline(self, deadline_at: datetime) -> None:
        row = self.prediction
        self.prediction = msgspec.structs.replace(row, deadline_at=deadline_at, revision=row.revision + 1)

    def record(self, events: Sequence[NewEvent], log: list[Event]) -> None:
        """Number the events and add them to the log of all predictions."""
        attempt = self.prediction.attempts if self.place is None else self.place.attempt
        for new in events:
            event = Event(
                prediction_id=self.prediction.id,
                seq=self.events[-1].seq + 1 if self.events else 1,
                attempt=attempt,
                kind=new.kind,
                at=new.at,
                data=new.data,
                offset=log[-1].offset + 1 if log else 1,
            )
            self.events.append(event)
            log.append(event)

    def change(self, prediction: Prediction) -> None:
        """Store the new row, with the queue's data."""
        place = self.place
        if place is not None:
            prediction = msgspec.structs.replace(prediction, fence=place.fence, attempts=place.attempt)
        self.prediction = prediction

    def say(self, events: Sequence[NewEvent], log: list[Event]) -> None:
        """Record the progress of a running prediction."""
        before = self.prediction
        self.change(msgspec.structs.replace(_started(before, events), revision=before.revision + 1))
        self.record(events, log)

    def note(self, event: NewEvent, log: list[Event]) -> None:
        """Record an event that changes nothing else, even after the end."""
        self.change(msgspec.structs.replace(self.prediction, revision=self.prediction.revision + 1))
        self.record([event], log)

    def add_late_logs(self, events: Sequence[NewEvent]) -> None:
        """Append text that it prints after its end to its logs, unless its data was removed."""
        row, text = self.prediction, late_logs(events)
        if text and row.data_removed_at is None:
            self.prediction = msgspec.structs.replace(row, logs=row.logs + text, revision=row.revision + 1)

    def run_again_alone(self, at: datetime, events: Sequence[NewEvent], mark: str, log: list[Event]) -> bool:
        """See WorkQueue.run_again_alone: whether it waits again."""
        place = self.place
        if self.prediction.submit_state is not None or self.prediction.is_terminal:
            return False
        if place is None or place.alone or self.progress.has_output:
            return False
        lost = NewEvent(kind=EventKind.ATTEMPT_LOST, at=at, data=msgspec.json.encode(mark))
        self.say([*(event for event in events if event.kind not in OUTPUT_KINDS), lost], log)
        place.holder, place.alone, place.ready_at = None, True, at
        return True

    def has_waited(self, bound: str, since: datetime) -> bool:
        """See WorkQueue.expire: it waits, is older than `bound`, and could be adopted since then."""
        place = self.place
        if place is None or place.holder is not None or self.prediction.id >= bound:
            return False
        return self.prediction.submit_state is None or place.ready_at <= since

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and no run of it elsewhere may continue."""
        return self.prediction.is_terminal and self.prediction.submit_state not in MAY_RUN_ELSEWHERE

    def give_back(self, place: QueueEntry, ready_at: datetime) -> None:
        """Return it to the queue without counting the attempt; remove it if it has ended."""
        if self.is_over:
            self.place = None
            return
        place.holder, place.ready_at = None, ready_at
        place.attempt = max(place.attempt - 1, 0)

    def take_back_to_adopt(self, place: QueueEntry, at: datetime, log: list[Event]) -> bool:
        """Its holder is lost, and it may run elsewhere: whether it waits to be adopted."""
        if self.prediction.submit_state is SubmitState.UNKNOWN:
            self.end(Fact.FAILED, at, log, error=UNKNOWN_ERROR, reason=UNKNOWN_REASON)
            self.place = None
            return False
        self.give_back(place, at)
        return True

    def fail_waiting(self, at: datetime, log: list[Event], error: str, reason: str) -> Prediction:
        """See WorkQueue.fail_waiting."""
        if self.prediction.submit_state is not None:
            self.prediction = msgspec.structs.replace(self.prediction, submit_state=SubmitState.UNKNOWN)
            error, reason = UNKNOWN_ERROR, UNKNOWN_REASON
        self.end(Fact.FAILED, at, log, error=error, reason=reason)
        self.place = None
        return self.prediction

    def end(
        self,
        fact: Fact,
        at: datetime,
        log: list[Event],
        *,
        events: Sequence[NewEvent] = (),
        error: str | None = None,
        reason: str | None = None,
        predict_time: float | None = None,
    ) -> Prediction:
        """Make it terminal. Raises WrongState, without a change, if the table has no such step."""
        row = _started(self.prediction, events)
        progress = self.progress.add(events)
        ended = conclude(row, fact, at, progress, error=error, reason=reason, predict_time=predict_time)
        self.change(ended)
        finish = Finish(status=ended.status, error=ended.error, reason=ended.termination_reason)
        last = NewEvent(kind=EventKind.FINISHED, at=at, data=msgspec.json.encode(finish))
        self.record([*events, last], log)
        return self.prediction


def _started(row: Prediction, events: Sequence[NewEvent]) -> Prediction:
    start = next((event for event in events if event.kind is EventKind.STARTED), None)
    if start is None or row.status is not Status.STARTING:
        return row
    return msgspec.structs.replace(advance(row, Fact.STARTED, start.at), revision=row.revision)


def fitting(rows: list[Prediction], limit_bytes: int | None) -> list[Prediction]:
    """The first rows that together have at most this size, at least one."""
    if limit_bytes is None:
        return rows
    together = accumulate(len(row.input) + len(row.output or b"") + len(row.error or "") for row in rows)
    return rows[: max(1, sum(total <= limit_bytes for total in together))]
