"""The answers to creates: after the commit, at the end of the prediction, or when the time is over.

Source: contract sections 5 and 6.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Headers, Outcome, Response, Variant, json_response
from halley.api.presentation.present import encode
from halley.api.repeats import CreateAttempt
from halley.api.waiting.conditions import Until
from halley.api.waiting.hold import Carrier, Hold, Snapshot
from halley.errors import HalleyError, NotAuthenticated
from halley.predictions.ports import Created
from halley.predictions.records import Prediction
from halley.predictions.status import Status

_log: Final = logging.getLogger(__name__)
KEPT_INPUT_BYTES: Final = 64 * 1024


class CreateAnswer:
    """Makes the answer to a create that is stored: no error may look like a failed create. Implements `hold.Tell`."""

    __slots__ = ("_created", "_headers", "_is_whole", "_parts", "_variant")

    def __init__(self, parts: ApiContext, created: Prediction, variant: Variant, headers: Headers) -> None:
        """`created`: the row as it was at its creation."""
        # a large input is not kept in memory during a wait: it is read again for the answer
        self._is_whole = len(created.input) <= KEPT_INPUT_BYTES
        self._created = created if self._is_whole else msgspec.structs.replace(created, input=b"{}")
        self._parts = parts
        self._variant = variant
        self._headers = headers

    def expect_end(self, hold: Hold, seconds: float, carrier: Carrier) -> Hold:
        """Let the hold wait for the end, at most this long."""
        return hold.expect(self._created, Until.END, self, seconds=seconds, carrier=carrier, tell_end=self.about_end)

    def about_end(self, row: Prediction) -> Response | None:
        """The answer about the ended prediction; None if making it must wait. Implements `hold.TellEnd`."""
        try:
            body = self._parts.presenter.encoded_at_once(row, self._variant)
        except Exception:  # noqa: BLE001  # the create is stored
            self._log_failure()
            return None
        return None if body is None else json_response(body, 201, self._headers)

    async def __call__(self, found: Snapshot | Exception, *, unfinished: int = 202) -> Response:
        """The answer with the end, or with the state at creation and the status `unfinished`."""
        parts, variant, created = self._parts, self._variant, self._created
        try:
            if isinstance(found, Snapshot) and found.row.is_terminal:
                return json_response(await parts.presenter.encoded(found.row, variant), 201, self._headers)
            if isinstance(found, Exception) and not isinstance(found, NotAuthenticated):
                raise found
        except Exception:  # noqa: BLE001  # the create is stored
            self._log_failure()
        # the time is over: send the state at creation, since clients take any other for the end (contract 0.1)
        if not self._is_whole:
            created = await self._read_again()
        return json_response(encode(parts.presenter.prediction(created, variant)), unfinished, self._headers)

    def _log_failure(self) -> None:
        _log.exception("prediction %s is stored, but waiting for it failed", self._created.id)

    async def _read_again(self) -> Prediction:
        created = self._created
        try:
            return as_created(await self._parts.predictions.row(created.id, created.account_id))
        except HalleyError as error:  # an answer without its input is better than none
            _log.warning("prediction %s is stored, but cannot be read for its answer: %s", created.id, error)
            return created


class PendingCreate:
    """A create from its submitted write to its answer, without a task. Implements `asgi.DeferredResponse`.

    Until the commit only this object can answer it; afterwards, if it waits, its hold.
    """

    __slots__ = ("_attempt", "_carrier", "_give", "_headers", "_hold", "_parts", "_pending", "_seconds", "_variant")

    def __init__(
        self, parts: ApiContext, attempt: CreateAttempt, hold: Hold | None, *, seconds: float, carrier: Carrier
    ) -> None:
        """`hold`, `seconds`, `carrier`: how it waits for the end; without a hold it does not wait."""
        self._parts = parts
        self._attempt = attempt
        self._hold = hold
        self._seconds = seconds
        self._carrier = carrier
        self._give: Callable[[Outcome], None] | None = None
        self._pending: asyncio.Future[Created] | None = None

    def until_stored(self, pending: "asyncio.Future[Created]", variant: Variant, headers: Headers) -> Response:
        """The deferred response: an error if the write fails."""
        self.expect(variant, headers)
        self._pending = pending
        return Response(later=self)

    def expect(self, variant: Variant, headers: Headers) -> None:
        """The outcome of the write comes to `written`, after it is parked."""
        self._variant = variant
        self._headers = headers
        self._attempt.defer()
        if self._hold is not None:
            self._hold.defer()

    def give_up(self) -> None:
        """Nothing was submitted."""
        self._attempt.end()
        if self._hold is not None:
            self._hold.hub.left(self._hold)

    def park(self, give: Callable[[Outcome], None]) -> None:
        """See `asgi.DeferredResponse`."""
        self._give = give
        self._watch()

    def answer_now(self) -> None:
        """See `asgi.DeferredResponse`. The commit is not waited for any shorter."""
        if self._hold is not None:
            self._hold.answer_now()

    def leave(self) -> None:
        """See `asgi.DeferredResponse`. Before the commit it stays in flight: a repeat of it must wait for that."""
        self._give = None
        if self._hold is not None:
            self._hold.leave()
        if self._attempt.is_settled:
            self._attempt.end()
        self._watch()

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
            self._continue(outcome)
        except Exception as error:  # noqa: BLE001  # otherwise the client would never be answered
            self._answered(error)

    def _continue(self, outcome: Created | BaseException) -> None:
        hold = self._hold
        if isinstance(outcome, BaseException):
            if hold is not None:
                hold.hub.left(hold)
            self._answered(outcome if isinstance(outcome, Exception) else RuntimeError("the write was canceled"))
            return
        created = outcome.prediction
        self._attempt.settle(created.id)
        if self._give is None:  # its client has disconnected: it counts as one that waited and left
            if hold is not None:
                hold.count_client(created)
            self._attempt.end()
        elif hold is None:
            body = encode(self._parts.presenter.prediction(created, self._variant))
            self._answered(json_response(body, 201, self._headers))
        else:
            answer = CreateAnswer(self._parts, created, self._variant, self._headers)
            answer.expect_end(hold, self._seconds, self._carrier)
            hold.park(self._answered)

    def _answered(self, outcome: Outcome) -> None:
        self._attempt.end()
        give, self._give = self._give, None
        if give is not None:
            give(outcome)


def as_created(row: Prediction) -> Prediction:
    """The row as it was at its creation: the answer to a create shows this until the prediction has ended.

    Clients take any other status for the end, and an existing output for complete (contract 0.1 and 0.2).
    """
    return msgspec.structs.replace(
        row,
        status=Status.STARTING,
        started_at=None,
        completed_at=None,
        output=None,
        files=(),
        logs="",
        error=None,
        metrics={},
        termination_reason=None,
    )
