"""A create between its submitted write and its answer, without a task."""

import asyncio
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from halley.api.context import ApiContext
from halley.api.http.asgi import Headers, Outcome, Response, Variant, json_response
from halley.api.http.heads import JoinedHeaders
from halley.api.repeats import CreateAttempt
from halley.api.resources.create_answers import CreateAnswer, location
from halley.api.waiting.hold import Carrier, Hold
from halley.predictions.ports import Created
from halley.predictions.records import Prediction

_log: Final = logging.getLogger(__name__)
_SHORT_SECONDS: Final = 1.0  # a wait that is no longer is a hold from the start


class PendingCreate:
    """Implements `asgi.DeferredResponse` and `hub.BriefWait`.

    Until the commit only this object can answer it. Most ends come a moment later, and this object answers again. If
    anything else happens, or it waits for longer, it becomes a hold.
    """

    __slots__ = (
        "_applied",
        "_carrier",
        "_created",
        "_due_at",
        "_give",
        "_has_changed",
        "_hold",
        "_is_gone",
        "_is_late",
        "_parts",
        "_pending",
        "_prediction_id",
        "_seconds",
        "_variant",
        "attempt",
    )

    def __init__(
        self,
        parts: ApiContext,
        attempt: CreateAttempt,
        prediction_id: str,
        *,
        variant: Variant,
        applied: Headers,
        seconds: float | None,
        carrier: Carrier,
    ) -> None:
        """`seconds`: how long it waits for the end, None if it does not; `applied` is the header that says so."""
        self._parts = parts
        self.attempt = attempt
        self._prediction_id = prediction_id
        self._variant = variant
        self._applied = applied
        self._seconds = seconds
        self._carrier = carrier
        self._give: Callable[[Outcome], None] | None = None
        self._pending: asyncio.Future[Created] | None = None
        self._created: Prediction | None = None  # the row as it was at its creation; set when that is stored
        self._hold: Hold | None = None
        # before the commit:
        self._is_late = False  # it must become a hold right after it
        self._has_changed = False  # and read the row
        self._is_gone = False  # its client waits no longer

    def until_stored(self, pending: "asyncio.Future[Created]") -> Response:
        """The deferred response: an error if the write fails."""
        self.attempt.defer()
        if self._seconds is not None:  # before the commit, so that no change is missed
            self._parts.hub.await_end(self._prediction_id, self)
        self._pending = pending
        return Response(later=self)

    def give_up(self) -> None:
        """Nothing was submitted."""
        self.attempt.end()
        self._parts.hub.forget(self._prediction_id)

    def park(self, give: Callable[[Outcome], None]) -> None:
        """See `asgi.DeferredResponse`."""
        self._give = give
        if self._pending is not None:
            self._watch()

    def answer_now(self) -> None:
        """See `asgi.DeferredResponse`. The commit is not waited for any shorter."""
        self._is_gone = True
        if self._give is not None and self._seconds is not None:
            self.become_hold(has_changed=False)
            if self._hold is not None:
                self._hold.answer_now()

    def leave(self) -> None:
        """See `asgi.DeferredResponse`. Before the commit it stays in flight: a repeat of it must wait for that."""
        self._give = None
        self._parts.hub.forget(self._prediction_id)
        if self._hold is not None:
            self._hold.leave()
            self._hold = None
        if self.attempt.is_settled:
            self.attempt.end()
        self._watch()

    def tell_end(self, row: Prediction) -> bool:
        """See `hub.BriefWait`."""
        if self._created is None or self._hold is not None:
            return False
        variant = self._variant
        if variant.data_urls and row.files:
            return False
        try:
            body = self._parts.presenter.json(row, variant)
        except Exception:  # noqa: BLE001  # the create is stored: the hold tries again
            _log.exception("prediction %s is stored, but waiting for it failed", row.id)
            return False
        self._answered(response(body, variant, self._prediction_id, self._applied))
        return True

    def become_hold(self, *, has_changed: bool) -> None:
        """See `hub.BriefWait`."""
        created = self._created
        if created is None:
            self._is_late = True
            self._has_changed = self._has_changed or has_changed
        elif self._hold is None and self._give is not None:
            try:
                self._enter_hub(created)
            except Exception as error:  # noqa: BLE001  # those that become holds after it must not wait forever
                self._failed(error)

    def _enter_hub(self, created: Prediction) -> None:
        hub = self._parts.hub
        hub.forget(self._prediction_id)
        hold = self._hold = hub.enter(self._prediction_id, {})
        hold.defer()
        headers = [location(self._variant, self._prediction_id), *self._applied]
        answer = CreateAnswer(self._parts, created, self._variant, headers)
        answer.expect_end(hold, self._due_at - self._parts.clock.monotonic(), self._carrier)
        hold.park(self._answered)

    def _watch(self) -> None:
        """Wait for the commit. Not before it is known who is answered, so that no answer is lost."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.add_done_callback(self._stored)

    def _stored(self, pending: "asyncio.Future[Created]") -> None:
        error = asyncio.CancelledError() if pending.cancelled() else pending.exception()
        self.written(pending.result() if error is None else error)

    def written(self, outcome: Created | BaseException) -> None:
        """The write is done, or has failed. It never raises."""
        try:
            if isinstance(outcome, Created):
                self.attempt.settle(self._prediction_id)
                self._continue(outcome.prediction)
            else:
                self._failed(outcome if isinstance(outcome, Exception) else RuntimeError("the write was canceled"))
        except Exception as error:  # noqa: BLE001  # otherwise the client would never be answered
            self._failed(error)

    def _continue(self, created: Prediction) -> None:
        parts, seconds = self._parts, self._seconds
        if self._give is None:  # its client has disconnected: it counts as one that waited and left
            if seconds is not None and parts.attendance.arrive(created):
                parts.attendance.depart(created.id, is_told=False)
            self.attempt.end()
        elif seconds is None:
            body = parts.presenter.json(created, self._variant)
            self._answered(response(body, self._variant, created.id, self._applied))
        else:
            self._created = created
            self._due_at = parts.clock.monotonic() + seconds
            if self._is_late or parts.hub.is_closed or created.cancel_abandoned or seconds <= _SHORT_SECONDS:
                self._hold_at_once()

    def _hold_at_once(self) -> None:
        self.become_hold(has_changed=False)
        if self._hold is not None and self._is_gone:
            self._hold.answer_now()
        elif self._hold is not None and self._has_changed:
            self._parts.hub.wake(self._hold.group)

    def _failed(self, error: Exception) -> None:
        self._parts.hub.forget(self._prediction_id)
        if self._hold is not None:
            self._hold.leave()
        self._answered(error)

    def _answered(self, outcome: Outcome) -> None:
        self.attempt.end()
        self._hold = None
        give, self._give = self._give, None
        if give is not None:
            give(outcome)


def response(body: bytes, variant: Variant, prediction_id: str, applied: Headers) -> Response:
    """The answer 201 with the prediction."""
    joined = _joined(variant.origin, variant.family, *applied)
    if joined is None:
        return json_response(body, 201, [location(variant, prediction_id), *applied])
    return Response(status=201, lines=joined.lines(prediction_id, len(body)), body=body)


@lru_cache(maxsize=1024)
def _joined(origin: str, family: str, *applied: tuple[bytes, bytes]) -> JoinedHeaders | None:
    """The headers of that answer; None if they cannot be sent, which the ordinary way finds out and reports."""
    try:
        return JoinedHeaders(f"{origin}{family}/v1/predictions/".encode(), applied)
    except ValueError:
        return None
