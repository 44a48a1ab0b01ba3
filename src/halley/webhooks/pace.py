"""Which passing states of one prediction are told, and when. Pure: no clock, no I/O. Source: contract section 11.1."""

from typing import Final

from halley.webhooks.events import WebhookEvent

PASSING: Final = (WebhookEvent.START, WebhookEvent.OUTPUT, WebhookEvent.LOGS)
THROTTLE_SECONDS: Final = 0.5


class Pace:
    """What of one prediction is still to be told.

    Each kind is told at most once in THROTTLE_SECONDS; what comes in between waits, and then the latest state is told.
    All messages hold the whole prediction, so one message tells of all kinds that may be told at its time.
    """

    __slots__ = ("_pending", "_told_at")

    def __init__(self, *, is_started: bool = False) -> None:
        self._pending: set[WebhookEvent] = set()
        self._told_at: dict[WebhookEvent, float] = {WebhookEvent.START: float("-inf")} if is_started else {}

    def note(self, event: WebhookEvent) -> None:
        """Something happened that the receiver wants to know."""
        if event is WebhookEvent.START and event in self._told_at:
            return  # it starts once, however many attempts it takes
        self._pending.add(event)

    def end(self) -> None:
        """It is over: outputs and logs are told with the end. Its start is told before, all the same."""
        self._pending &= {WebhookEvent.START}

    def stop(self) -> None:
        """Nobody wants to know any more."""
        self._pending.clear()

    @property
    def is_idle(self) -> bool:
        return not self._pending

    def wait_seconds(self, now: float) -> float | None:
        """How long until something may be told; None if there is nothing. `now` is monotonic, in seconds."""
        return min((max(self._free_at(event) - now, 0.0) for event in self._pending), default=None)

    def take(self, now: float) -> WebhookEvent | None:
        """What may be told now, by its first name; it counts as told."""
        free = [event for event in PASSING if event in self._pending and self._free_at(event) <= now]
        for event in free:
            self._pending.discard(event)
            self._told_at[event] = now
        return free[0] if free else None

    def _free_at(self, event: WebhookEvent) -> float:
        told_at = self._told_at.get(event)
        return float("-inf") if told_at is None else told_at + THROTTLE_SECONDS
