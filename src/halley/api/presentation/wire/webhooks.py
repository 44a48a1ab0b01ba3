"""The account's webhook secret, and deliveries: these are an extension."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from halley.api.presentation.wire.values import ListPage, Time, WebhookEvent


class WebhookSecret(msgspec.Struct, kw_only=True):
    """What messages of the account are signed with: `whsec_` and base64."""

    key: str


class RotateWebhookSecret(msgspec.Struct, kw_only=True):
    """How long the old secret signs beside the new one; a setting says so if this does not."""

    overlap_seconds: Annotated[float, msgspec.Meta(ge=0, le=2_592_000)] | None = None


class NewWebhookSecret(WebhookSecret, kw_only=True):
    """A secret just made. Until `previous_ends_at` messages carry a signature of the one before, too."""

    previous_ends_at: Time


class DeliveryRequest(msgspec.Struct, kw_only=True):
    """What was sent. `body` is there for one delivery at a time, and as long as the message is kept."""

    headers: dict[str, str]
    body_sha256: str
    body_bytes: int
    body: str | UnsetType | None = UNSET


class DeliveryAnswer(msgspec.Struct, kw_only=True):
    """What the receiver answered; `body` is the beginning of it."""

    status: int
    body: str


class DeliveryBody(msgspec.Struct, kw_only=True):
    """One attempt to deliver a webhook message."""

    id: str
    message: str  # the header `webhook-id`: the same for all attempts of a message
    prediction: str
    event: WebhookEvent
    attempt: int
    url: str
    state: Literal["sending", "delivered", "failed", "gone", "interrupted"]
    started_at: Time
    latency_seconds: float | None
    request: DeliveryRequest
    response: DeliveryAnswer | None
    error: str | None
    next_attempt_at: Time | None


class DeliveryPage(ListPage, kw_only=True):
    """A page of deliveries, newest first."""

    results: list[DeliveryBody]


class WebhookMessage(msgspec.Struct, kw_only=True):
    """A message that will be sent again."""

    id: str
    prediction: str
    event: WebhookEvent
    url: str
    state: Literal["pending", "delivered", "failed", "gone"]
    next_attempt_at: Time | None


class WebhookCopy(msgspec.Struct, kw_only=True):
    """What a receiver would get: the headers that prove it, and the body to the byte."""

    position: int
    id: str
    prediction: str
    event: WebhookEvent
    headers: dict[str, str]
    body: str


class WebhookCopies(msgspec.Struct, kw_only=True):
    """The current messages; continue with `after` and this position."""

    position: int
    results: list[WebhookCopy]
