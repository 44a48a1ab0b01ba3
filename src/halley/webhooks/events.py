"""Which events of a prediction's life a receiver may ask for. Source: contract section 11.1; decision D22."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from halley.predictions.records import Prediction
from halley.predictions.status import EventKind


class WebhookEvent(StrEnum):
    """The words of `webhook_events_filter`."""

    START = "start"
    OUTPUT = "output"
    LOGS = "logs"
    COMPLETED = "completed"


DEFAULT_EVENTS: Final = frozenset({WebhookEvent.OUTPUT, WebhookEvent.COMPLETED})

TOLD_BY: Final[Mapping[EventKind, WebhookEvent]] = {
    EventKind.STARTED: WebhookEvent.START,
    EventKind.OUTPUT_ADDED: WebhookEvent.OUTPUT,
    EventKind.OUTPUT_SET: WebhookEvent.OUTPUT,
    EventKind.LOGGED: WebhookEvent.LOGS,
    EventKind.ATTEMPT_LOST: WebhookEvent.LOGS,
    EventKind.FINISHED: WebhookEvent.COMPLETED,
}
"""What each recorded fact means to a receiver; the others mean nothing to it."""


def wanted_by(row: Prediction) -> frozenset[WebhookEvent]:
    """What its receiver asked for: a filter is a set, and an empty one asks for nothing."""
    if row.webhook is None:
        return frozenset()
    if row.webhook_events_filter is None:
        return DEFAULT_EVENTS
    return frozenset(WebhookEvent(word) for word in row.webhook_events_filter)
