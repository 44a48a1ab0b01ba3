"""The account's webhook secret, and deliveries: these are an extension."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from halley.api.presentation.wire.values import ListPage, Time, WebhookEvent


class WebhookSecret(msgspec.Struct, kw_only=True):
    """The secret with which messages of the account are signed: `whsec_` and base64."""

    key: str


class RotateWebhookSecret(msgspec.Struct, kw_only=True):
    """How long the old secret is used together with the new one; the default is a setting."""

    overlap_seconds: Annotated[float, msgspec.Meta(ge=0, le=2_592_000)] | None = None


class NewWebhookSecret(WebhookSecret, kw_only=True):
    """A new secret. Until `previous_ends_at` messages also carry a signature with the previous one."""

    previous_ends_at: Time


class DeliveryRequest(msgspec.Struct, kw_only=True):
    """The request that was sent. `body` is shown for a single delivery, as long as the message is stored."""

    headers: dict[str, str]
    body_sha256: str
    body_bytes: int
    body: str | UnsetType | None = UNSET


class DeliveryAnswer(msgspec.Struct, kw_only=True):
    """The receiver's answer; `body` is the beginning of it."""

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
    """The request that a receiver would get: the signed headers, and the exact body."""

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
