"""Which intermediate states of a prediction are sent, and when. No clock, no I/O. Source: contract section 11.1."""

from typing import Final

from halley.webhooks.events import WebhookEvent

PASSING: Final = (WebhookEvent.START, WebhookEvent.OUTPUT, WebhookEvent.LOGS)
THROTTLE_SECONDS: Final = 0.5


class Pace:
    """The messages of one prediction that must still be sent.

    Each kind is sent at most once in THROTTLE_SECONDS; after changes in between, the latest state is sent. All messages
    contain the whole prediction, so one message covers all kinds that may be sent at its time.
    """

    __slots__ = ("_pending", "_told_at")

    def __init__(self) -> None:
        self._pending: set[WebhookEvent] = set()
        self._told_at: dict[WebhookEvent, float] = {}

    def skip_start(self) -> None:
        """Its start was sent by an earlier process."""
        self._told_at[WebhookEvent.START] = float("-inf")

    def note(self, event: WebhookEvent) -> None:
        """An event has happened that the receiver asked for."""
        if event is WebhookEvent.START and event in self._told_at:
            return  # the start is sent once, for any number of attempts
        self._pending.add(event)

    def end(self) -> None:
        """It has ended: outputs and logs are sent with the end. Its start is still sent before it."""
        self._pending &= {WebhookEvent.START}

    def stop(self) -> None:
        """Nothing needs to be sent any more."""
        self._pending.clear()

    @property
    def is_idle(self) -> bool:
        return not self._pending

    def wait_seconds(self, now: float) -> float | None:
        """How long until a message may be sent; None if there is none. `now` is monotonic, in seconds."""
        return min((max(self._free_at(event) - now, 0.0) for event in self._pending), default=None)

    def take(self, now: float) -> WebhookEvent | None:
        """The first kind of the message that may be sent now; it counts as sent."""
        free = [event for event in PASSING if event in self._pending and self._free_at(event) <= now]
        for event in free:
            self._pending.discard(event)
            self._told_at[event] = now
        return free[0] if free else None

    def _free_at(self, event: WebhookEvent) -> float:
        told_at = self._told_at.get(event)
        return float("-inf") if told_at is None else told_at + THROTTLE_SECONDS
