"""Attempts to deliver webhooks, as the page of a prediction lists them."""

from typing import Final

import msgspec

from halley.web.views.durations import in_words


class ReceiverAnswer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    body: str = ""


class ShownDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt in the API's list."""

    id: str
    event: str
    attempt: int
    url: str
    state: str
    started_at: str
    latency_seconds: float | None = None
    response: ReceiverAnswer | None = None
    error: str | None = None
    next_attempt_at: str | None = None

    @property
    def answer(self) -> str:
        """The receiver's status, or why there is none."""
        if self.response is not None:
            return str(self.response.status)
        return self.error or ""

    @property
    def latency(self) -> str:
        return in_words(self.latency_seconds)

    @property
    def can_be_resent(self) -> bool:
        """The server keeps the bodies of these messages only."""
        return self.event == "completed" and self.state != "sending"


class ShownDeliveries(msgspec.Struct, frozen=True, kw_only=True):
    """A page of that list."""

    results: list[ShownDelivery]
    next: str | None = None


read_deliveries: Final = msgspec.json.Decoder(ShownDeliveries).decode
