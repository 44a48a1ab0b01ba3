"""What is recorded about a prediction: an extension."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from halley.api.presentation.wire.values import ListPage, StatusWord, Time
from halley.predictions.repeats import How
from halley.predictions.settlements import SettledHow

EventName = Literal[
    "status",
    "output",
    "output_not_kept",
    "logs",
    "progress",
    "metric",
    "cancel_requested",
    "attempt_lost",
    "data_removed",
    "repeated",
    "linked",
]


class EventBody(msgspec.Struct, kw_only=True):
    """A recorded fact about a prediction. The content of `data` depends on `event`: see the table in the manual."""

    seq: int
    event: EventName
    attempt: int
    at: Time
    data: Any


class StatusData(msgspec.Struct, kw_only=True):
    """The data of `status`. A run elsewhere begins with its provider and its id there."""

    status: StatusWord
    provider: str | UnsetType = UNSET
    upstream_id: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    termination_reason: str | UnsetType = UNSET


class OutputData(msgspec.Struct, kw_only=True):
    """The data of `output`: one more item of a list (`is_item`), or the whole output.

    `passed` is true if it has links of a service elsewhere (`vault = "pass"`).
    """

    value: Any
    is_item: bool
    passed: bool | UnsetType = UNSET


class TextData(msgspec.Struct, kw_only=True):
    """The data of `logs` and `attempt_lost`; the text is JSON already."""

    text: Raw


class RepeatedData(msgspec.Struct, kw_only=True):
    """The data of `repeated`."""

    how: How


class LinkedData(msgspec.Struct, kw_only=True):
    """The data of `linked`: the other prediction, by what it is to this one."""

    how: SettledHow
    continued_by: str | UnsetType = UNSET
    continues: str | UnsetType = UNSET


class EventPage(ListPage, kw_only=True):
    """A page of events, oldest first; there is no previous page."""

    results: list[EventBody]
