"""Predictions, and the requests that create them. Source: contract sections 7 and 9."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from halley.api.presentation.wire.values import ListPage, NonEmpty, StatusWord, Time, Url, WebhookEvent
from halley.predictions.tags import MOST_TAG_CHARACTERS, MOST_TAGS

Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_TAG_CHARACTERS)]
Tags = Annotated[list[Tag], msgspec.Meta(max_length=MOST_TAGS)]


class Urls(msgspec.Struct, kw_only=True):
    """Always all four, never null: two clients require them as strings (contract 0.4)."""

    get: str
    cancel: str
    web: str
    stream: str


class PredictionBody(msgspec.Struct, kw_only=True):
    """One run of one version on one input."""

    id: str
    model: str
    version: str
    input: Raw
    logs: str | UnsetType = UNSET  # left out in lists
    output: Raw
    data_removed: bool
    error: str | None
    source: Literal["api", "web"]
    status: StatusWord
    created_at: Time
    started_at: Time | UnsetType | None = UNSET
    completed_at: Time | UnsetType | None = UNSET
    metrics: dict[str, Any] | UnsetType = UNSET
    urls: Urls
    webhook: str | UnsetType = UNSET
    webhook_events_filter: list[str] | UnsetType = UNSET
    deployment: str | UnsetType = UNSET
    deadline: Time | UnsetType = UNSET
    termination_reason: str | UnsetType = UNSET
    starting_reason: str | UnsetType = UNSET  # an extension: why it waits, if it waits for more than its turn
    repeated_creates: int | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET  # an extension: only in lists with `include=tags`, of those that have any


class PredictionPage(ListPage, kw_only=True):
    """A page of predictions; `next` and `previous` are absolute URLs or null (contract 0.9)."""

    results: list[PredictionBody]


class CreatePrediction(msgspec.Struct, kw_only=True):
    """A request to run a version. Unknown members are ignored."""

    version: NonEmpty
    input: dict[str, Any] = {}
    context: dict[str, str] | None = None
    webhook: Url | None = None
    webhook_events_filter: list[WebhookEvent] | None = None
    webhook_completed: Url | None = None
    stream: bool | None = None
    tags: Tags | None = None


class CreateModelPrediction(msgspec.Struct, kw_only=True):
    """A request to run the model that the path names."""

    input: dict[str, Any] = {}
    context: dict[str, str] | None = None
    webhook: Url | None = None
    webhook_events_filter: list[WebhookEvent] | None = None
    webhook_completed: Url | None = None
    stream: bool | None = None
    tags: Tags | None = None
