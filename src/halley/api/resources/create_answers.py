"""The answers to creates: after the commit, at the end of the prediction, or when the time is over.

Source: contract sections 5 and 6.
"""

import logging
from typing import Final

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Headers, Response, Variant, json_response
from halley.api.waiting.conditions import Until
from halley.api.waiting.hold import Carrier, Hold, Snapshot
from halley.errors import HalleyError, NotAuthenticated
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
        return json_response(parts.presenter.json(created, variant), unfinished, self._headers)

    def _log_failure(self) -> None:
        _log.exception("prediction %s is stored, but waiting for it failed", self._created.id)

    async def _read_again(self) -> Prediction:
        created = self._created
        try:
            return as_created(await self._parts.predictions.row(created.id, created.account_id))
        except HalleyError as error:  # an answer without its input is better than none
            _log.warning("prediction %s is stored, but cannot be read for its answer: %s", created.id, error)
            return created


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


def location(variant: Variant, prediction_id: str) -> tuple[bytes, bytes]:
    """The header with the URL of a prediction."""
    return b"location", f"{variant.base}/predictions/{prediction_id}".encode()
