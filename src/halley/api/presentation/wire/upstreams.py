"""Services elsewhere that run predictions, and routes to them: an extension."""

from typing import Literal

import msgspec

from halley.api.presentation.wire.values import ListPage, Time
from halley.dispatch.upstreams import WebhookState
from halley.predictions.settlements import SettledHow


class UpstreamError(msgspec.Struct, kw_only=True):
    """An error of a service, without secrets and query strings."""

    at: Time
    text: str


class Latency(msgspec.Struct, kw_only=True):
    """Half of the last `count` took at most `p50` seconds, 95 % of them at most `p95`."""

    count: int
    p50: float
    p95: float


class Bucket(msgspec.Struct, kw_only=True):
    """The limits of a service for submits, as its answers state them: `left` of `limit` until a new period begins in
    `reset_seconds`. After a refusal, at most `at_once` submits are without an answer at the same time.
    """

    left: int | None
    limit: int | None
    reset_seconds: float | None
    at_once: int | None


class AddressBody(msgspec.Struct, kw_only=True):
    """One of several addresses of a service. `reason` says why it gets no runs; null if it does."""

    url: str
    reason: str | None
    in_flight: int
    slots: int


class Balance(msgspec.Struct, kw_only=True):
    """How much money or credit was left at a service at the time `at`, in the unit of the service."""

    left: float
    unit: str | None
    at: Time


class UpstreamBody(msgspec.Struct, kw_only=True):
    """A service elsewhere. `state` is that of its circuit breaker: `open` gets no new runs, `half_open` gets one as a
    probe. It has opened `opened` times since the start, and stays open for `open_seconds`.

    `addresses` has those of a service whose addresses have slots of their own. `unknown` counts predictions of which it
    is not known whether they ran there, `submits` what was submitted in the last 24 hours; `max_submits_per_day` is
    null if any number may be. `webhooks` is null if it is not asked to send any, `balance` if it is not known.
    """

    name: str
    kind: str
    profile: str | None
    url: str
    addresses: list[AddressBody]
    state: Literal["closed", "open", "half_open"]
    opened: int
    open_seconds: float
    reason: str | None
    in_flight: int
    slots: int
    submits: int
    max_submits_per_day: int | None
    unknown: int
    paused_seconds: float
    bucket: Bucket | None
    submit_seconds: Latency | None
    run_seconds: Latency | None
    webhooks: WebhookState | None
    balance: Balance | None
    last_errors: list[UpstreamError]


class UpstreamPage(ListPage, kw_only=True):
    """All services elsewhere, by name."""

    results: list[UpstreamBody]


class SettlementBody(msgspec.Struct, kw_only=True):
    """Which prediction continues one whose outcome was unknown, and how it was settled."""

    prediction: str
    continued_by: str
    how: SettledHow
    at: Time


class AdoptRun(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A run of a service. Without `provider`, it is the one to which the prediction was submitted."""

    upstream_id: str
    provider: str | None = None


class UnknownOutcome(msgspec.Struct, kw_only=True):
    """A prediction of which it is not known whether it ran at a service; `upstream_id` is its id there, if known.

    `settlement` is null until another prediction continues it.
    """

    id: str
    account: str
    model: str
    provider: str
    upstream_id: str | None
    created_at: Time
    completed_at: Time | None
    error: str | None
    settlement: SettlementBody | None


class UnknownPage(ListPage, kw_only=True):
    """The newest predictions with an unknown outcome."""

    results: list[UnknownOutcome]


class RouteBody(msgspec.Struct, kw_only=True):
    """A route: `name` is a model or a pattern, `model` is its name at the services elsewhere.

    `weights` is null if its providers are used in order. `vault`: whether outputs are copied here, or keep the links of
    the service.
    """

    name: str
    providers: list[str]
    weights: dict[str, int] | None
    model: str | None
    has_schema: bool
    spill_over_queue: int | None
    spill_over_unloaded: bool
    vault: Literal["keep", "pass"]


class RoutePage(ListPage, kw_only=True):
    """All routes: those of single models, then the patterns, in the order in which they are tried."""

    results: list[RouteBody]


class ProviderVerdict(msgspec.Struct, kw_only=True):
    """Whether a provider would take the next run of a model, and why; `model` is its name there."""

    provider: str
    model: str
    weight: int | None
    takes: bool
    reason: str


class RouteTest(msgspec.Struct, kw_only=True):
    """Where the next run of a model would begin. `route` is null if the model has none: then it is this machine."""

    model: str
    version: str | None
    is_checked: bool
    route: str | None
    provider: str | None
    providers: list[ProviderVerdict]
