"""The events of a prediction that a receiver may ask for. Source: contract section 11.1; decision D22."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from halley.predictions.records import Prediction
from halley.predictions.status import EventKind


class WebhookEvent(StrEnum):
    """The values of `webhook_events_filter`."""

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
"""The webhook event of each recorded fact; facts that are not listed have none."""


def wanted_by(row: Prediction) -> frozenset[WebhookEvent]:
    """The events that its receiver asked for: a filter is a set, and an empty one asks for none."""
    if row.webhook is None:
        return frozenset()
    if row.webhook_events_filter is None:
        return DEFAULT_EVENTS
    return frozenset(WebhookEvent(word) for word in row.webhook_events_filter)
