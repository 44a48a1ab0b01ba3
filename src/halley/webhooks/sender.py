"""Makes one attempt: signs, records, sends, and records the result."""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from halley import __version__
from halley.clock import Clock
from halley.errors import HalleyError
from halley.ids import NewId
from halley.retry import retry_until_accepted
from halley.webhooks.address import Address, read_address
from halley.webhooks.events import WebhookEvent
from halley.webhooks.ports import DeliveryStore, HttpSender
from halley.webhooks.records import Delivery, DeliveryOutcome, Ending, Fate
from halley.webhooks.signing import Signer

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

KEPT_BYTES: Final = 1024  # of an answer: enough for the text of an error page
MASK: Final = "********"
_AGENT: Final = f"halley/{__version__}"
_INTERNAL: Final = "An internal error of the server; its log has the details."


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The data of one attempt."""

    account_id: str
    prediction_id: str
    message_id: str
    event: WebhookEvent
    url: str
    body: bytes
    attempt: int


class DeliveryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long one attempt may take."""

    connect_seconds: float = 5.0
    total_seconds: float = 10.0


Decide = Callable[[Ending, float], Fate | None]
"""Decides the next state of the message from the ending and from the seconds for which the receiver asked to wait."""


def no_fate(_ending: Ending, _asked_seconds: float) -> None:
    """Intermediate states are sent once, with any result."""


class Sender:
    """Makes attempts. Each is logged before its first byte is sent, so that one that a crash interrupts is in the log,
    too.
    """

    def __init__(
        self,
        *,
        store: DeliveryStore,
        signer: Signer,
        http_sender: HttpSender,
        clock: Clock,
        new_id: NewId,
        limits: DeliveryLimits,
    ) -> None:
        self._store = store
        self._signer = signer
        self._http_sender = http_sender
        self._clock = clock
        self._new_id = new_id
        self._limits = limits

    async def send(self, attempt: Attempt, decide: Decide = no_fate) -> Ending | None:
        """Make one attempt. None if none was made, because the receiver has answered 410."""
        address = read_address(attempt.url)
        headers = {"content-type": "application/json", "user-agent": _AGENT}
        headers |= await self._signer.headers(attempt.account_id, attempt.message_id, attempt.body)
        if address.authorization is not None:
            headers["authorization"] = address.authorization
        delivery = self._delivery(attempt, headers)
        if not await self.retry_until_accepted(lambda: self._store.begin(delivery)):
            return None
        ending, asked_seconds = await self._post(address, headers, attempt)
        fate = decide(ending, asked_seconds)
        self._log_result(attempt, address, ending, fate)
        await self.retry_until_accepted(lambda: self._store.end(delivery, ending, fate))
        return ending

    async def retry_until_accepted(self, write: Callable[[], Awaitable[T]]) -> T:
        """Retry until it is written: a sent message must not look as if it had never been sent."""
        return await retry_until_accepted(write, self._clock, "the delivery log cannot be written yet")

    def _delivery(self, attempt: Attempt, headers: dict[str, str]) -> Delivery:
        return Delivery(
            id=self._new_id(),
            account_id=attempt.account_id,
            prediction_id=attempt.prediction_id,
            message_id=attempt.message_id,
            event=attempt.event,
            attempt=attempt.attempt,
            url=attempt.url,
            headers={name: MASK if name == "authorization" else value for name, value in headers.items()},
            body_sha256=hashlib.sha256(attempt.body).hexdigest(),
            body_bytes=len(attempt.body),
            started_at=self._clock.now(),
        )

    async def _post(self, address: Address, headers: dict[str, str], attempt: Attempt) -> tuple[Ending, float]:
        began = self._clock.monotonic()
        status: int | None = None
        answer, error, asked_seconds = b"", None, 0.0
        try:
            posted = await self._http_sender.post(
                address.url,
                headers=list(headers.items()),
                content=attempt.body,
                connect_seconds=self._limits.connect_seconds,
                total_seconds=self._limits.total_seconds,
                keep_bytes=KEPT_BYTES,
            )
            status, answer = posted.status, posted.body
            asked_seconds = _asked_seconds(posted.headers.get("retry-after", ""))
            if 300 <= status < 400:
                error = "Redirects are not followed: use the address that it redirects to."
        except HalleyError as refusal:
            error = str(refusal)
        except Exception:  # noqa: BLE001 - an error caused by a receiver's answer must not end this server
            _log.exception("an attempt for %s failed with an unexpected error", address.shown)
            error = _INTERNAL
        latency = self._clock.monotonic() - began
        outcome = _outcome(status)
        ending = Ending(outcome=outcome, latency_seconds=latency, status=status, answer=answer, error=error)
        return ending, asked_seconds

    @staticmethod
    def _log_result(attempt: Attempt, address: Address, ending: Ending, fate: Fate | None) -> None:
        if ending.outcome is DeliveryOutcome.DELIVERED or (fate is not None and fate.next_at is not None):
            return
        why = ending.error or f"it answered {ending.status}"
        _log.info(
            "webhook %s: %s did not accept the message %s: %s", attempt.message_id, address.shown, attempt.event, why
        )


def _outcome(status: int | None) -> DeliveryOutcome:
    if status is None:
        return DeliveryOutcome.FAILED
    if 200 <= status < 300:
        return DeliveryOutcome.DELIVERED
    return DeliveryOutcome.GONE if status == 410 else DeliveryOutcome.FAILED


def _asked_seconds(retry_after: str) -> float:
    """The seconds in a `Retry-After`; 0 if it is absent, or a date (few receivers send one, and their clocks
    differ).
    """
    text = retry_after.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0.0
