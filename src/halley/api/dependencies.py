"""What the API needs from outside, grouped by purpose. `halley.app` provides it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from halley.api.presentation.wire.replicas import LogLine, ReplicaBody
from halley.api.presentation.wire.upstreams import RouteBody, RouteTest, UnknownOutcome, UpstreamBody
from halley.assets.files import Files
from halley.assets.links import LinkSigner
from halley.assets.ports import Blobs
from halley.bulk.service import BulkActions
from halley.dispatch.upstream_hooks import UpstreamHint
from halley.errors import NotFound
from halley.keys.service import Keys
from halley.models.catalog import Catalog
from halley.models.ports import ModelStore
from halley.models.records import Version
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.key_usage import KeyUsages
from halley.predictions.large import LargeBodies
from halley.predictions.overview import Overview
from halley.predictions.ports import ExpiryPolicy
from halley.predictions.records import Prediction
from halley.predictions.running_again import Reruns
from halley.predictions.service import Predictions
from halley.predictions.settlements import Settled
from halley.retention.service import RetentionService
from halley.webhooks.admin import WebhookAdmin

CheckStore = Callable[[], Awaitable[str | None]]
"""Returns why the store would refuse a create now, or None."""

Health = Callable[[], Mapping[str, str]]
"""Returns each part that is not ready, with the reason; empty if all are ready."""

ListReplicas = Callable[[], Awaitable[Sequence[ReplicaBody]]]
"""Returns the states of this machine's models, measured now."""

ReadReplicaLog = Callable[[str, int, int | None], Sequence[LogLine]]
"""Returns the kept lines of a model (owner/name) with numbers above the given one; of these the last so many, or all
(None).
"""

ClearSetup = Callable[[str], Awaitable[int | None]]
"""Deletes what setups of a model (owner/name) left; returns its size in bytes, None if there was nothing."""

ListUpstreams = Callable[[], Awaitable[Sequence[UpstreamBody]]]
"""Returns the states of the services elsewhere."""

ListUnknown = Callable[[int, bool], Awaitable[Sequence[UnknownOutcome]]]
"""Returns the newest predictions with an unknown outcome, at most so many; also settled ones if the flag is set."""

AdoptUnknown = Callable[[str, str, str | None], Awaitable[Settled]]
"""Continues a prediction with a run of a provider (None: its own); see `UnknownOutcomes.adopt`."""

RetryUnknown = Callable[[str], Awaitable[Settled]]
"""Submits a prediction again; see `UnknownOutcomes.retry`."""

ListRoutes = Callable[[], Sequence[RouteBody]]
"""Returns the routes, in the order in which they are tried."""

TestRoute = Callable[[Version], RouteTest]
"""Returns where the next run of the version would begin."""

ReceiveHint = Callable[[UpstreamHint], None]
"""Takes what a service elsewhere sent to an address of ours. It proves nothing, and may be ignored."""

PassesLinks = Callable[[str], bool]
"""Returns whether outputs of a model (owner/name) keep the links of the service that runs it."""

WhyStarting = Callable[[Prediction], str | None]
"""Returns why a prediction has not started, if it waits for more than its turn."""


async def no_replicas() -> Sequence[ReplicaBody]:
    """For a server that runs no models itself."""
    return ()


def no_lines(_model: str, _after: int, _last: int | None) -> Sequence[LogLine]:
    """For a server that runs no models itself."""
    return ()


async def nothing_to_clear(_model: str) -> None:
    """For a server that runs no models itself."""


def no_reason(_: Prediction) -> None:
    """For a server that runs no models itself."""


async def no_fault() -> None:
    """For a store that accepts all writes."""


def no_housekeeping_faults() -> Mapping[str, str]:
    """For servers without housekeeping."""
    return {}


class PageRenderer(Protocol):
    """Renders pages for people (implemented by `web`). They contain no scripts, and only our own style sheet."""

    @property
    def style_source(self) -> str:
        """The style source for a content security policy."""
        ...

    def prediction(self, row: Prediction, *, output: Any, links: Mapping[str, str]) -> bytes:
        """The page of a prediction. `links` maps links to its files to media types; `output` is the rest of its
        output.
        """
        ...

    def removed(self, prediction_id: str) -> bytes:
        """The page of a prediction whose data was removed."""
        ...

    def closed(self) -> bytes:
        """The page for a caller without access: it reveals nothing."""
        ...


class PredictionUseCases(msgspec.Struct, frozen=True, kw_only=True):
    """What clients do with predictions."""

    predictions: Predictions
    overview: Overview
    reruns: Reruns
    bulk: BulkActions
    attendance: AbandonmentTracker
    key_usages: KeyUsages


class UseCases(msgspec.Struct, frozen=True, kw_only=True):
    """The operations for clients; each checks the caller."""

    of_predictions: PredictionUseCases
    catalog: Catalog
    models: ModelStore
    keys: Keys
    files: Files
    retention: RetentionService
    webhooks: WebhookAdmin

    @property
    def predictions(self) -> Predictions:
        return self.of_predictions.predictions

    @property
    def attendance(self) -> AbandonmentTracker:
        return self.of_predictions.attendance


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """Reads and serves large values. Without `large`, bodies of any size are decoded in the event loop's thread;
    without a `download_secret`, uploaded files cannot be downloaded.
    """

    blobs: Blobs
    links: LinkSigner
    data_ends: ExpiryPolicy
    download_secret: bytes = b""
    large: LargeBodies | None = None


class HealthChecks(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this server can accept work."""

    health: Health
    check_store: CheckStore = no_fault
    housekeeping_faults: Health = no_housekeeping_faults


async def no_upstreams() -> Sequence[UpstreamBody]:
    """For a server that runs everything itself."""
    return ()


async def none_unknown(_most: int, _with_settled: bool) -> Sequence[UnknownOutcome]:
    """For a server that runs everything itself."""
    return ()


async def nothing_to_adopt(prediction_id: str, _upstream_id: str, _provider: str | None) -> Settled:
    """For a server that runs everything itself."""
    raise NotFound(f"There is no prediction {prediction_id} of a provider elsewhere at this server")


async def nothing_to_retry(prediction_id: str) -> Settled:
    """For a server that runs everything itself."""
    raise NotFound(f"There is no prediction {prediction_id} of a provider elsewhere at this server")


def no_routes() -> Sequence[RouteBody]:
    """For a server that runs everything itself."""
    return ()


def runs_here(version: Version) -> RouteTest:
    """For a server that runs everything itself."""
    return RouteTest(
        model=version.model, version=version.id, is_checked=True, route=None, provider=version.provider, providers=[]
    )


def no_runs_elsewhere(_: UpstreamHint) -> None:
    """For a server that runs everything itself."""


def keeps_files(_model: str) -> bool:
    """For a server that runs everything itself."""
    return False


class UpstreamViews(msgspec.Struct, frozen=True, kw_only=True):
    """The services elsewhere. The defaults are those of a server that has none."""

    upstreams: ListUpstreams = no_upstreams
    unknown: ListUnknown = none_unknown
    adopt: AdoptUnknown = nothing_to_adopt
    retry: RetryUnknown = nothing_to_retry
    routes: ListRoutes = no_routes
    test_route: TestRoute = runs_here
    receive_hint: ReceiveHint = no_runs_elsewhere
    passes_links: PassesLinks = keeps_files


class LocalModels(msgspec.Struct, frozen=True, kw_only=True):
    """The model processes of this machine, and the services elsewhere. The defaults are for a server without any."""

    replicas: ListReplicas = no_replicas
    memory_budget_bytes: int | None = None
    replica_log: ReadReplicaLog = no_lines
    clear_setup: ClearSetup = nothing_to_clear
    why_starting: WhyStarting = no_reason
    upstreams: UpstreamViews = UpstreamViews()
