"""What the API is given from outside, grouped by what it is for. `halley.app` fills it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from halley.api.presentation.wire.replicas import LogLine, ReplicaBody
from halley.assets.files import Files
from halley.assets.links import LinkSigner
from halley.assets.ports import Blobs
from halley.keys.service import Keys
from halley.models.catalog import Catalog
from halley.models.ports import ModelStore
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.large import LargeBodies
from halley.predictions.ports import ExpiryPolicy
from halley.predictions.records import Prediction
from halley.predictions.service import Predictions
from halley.retention.service import RetentionService
from halley.webhooks.admin import WebhookAdmin

CheckStore = Callable[[], Awaitable[str | None]]
"""Why the store would refuse a create now, or None."""

Health = Callable[[], Mapping[str, str]]
"""Names each part that is not ready, with the reason; empty when all are."""

ListReplicas = Callable[[], Awaitable[Sequence[ReplicaBody]]]
"""What the models of this machine are doing, measured now."""

ReadOwnLog = Callable[[str, int], Sequence[LogLine]]
"""The kept lines of a model (owner/name) behind a number."""

ClearSetup = Callable[[str], Awaitable[int | None]]
"""Forgets what setups of a model (owner/name) left; gives its bytes, None if there was nothing."""

WhyStarting = Callable[[str], str | None]
"""What predictions of a version wait for, if it is more than their turn."""


async def no_replicas() -> Sequence[ReplicaBody]:
    """Of a server that runs no models itself."""
    return ()


def no_lines(_model: str, _after: int) -> Sequence[LogLine]:
    """Of a server that runs no models itself."""
    return ()


async def nothing_to_clear(_model: str) -> None:
    """Of a server that runs no models itself."""


def no_reason(_: str) -> None:
    """Of a server that runs no models itself."""


async def no_fault() -> None:
    """Of a store that takes everything."""


def no_housekeeping_faults() -> Mapping[str, str]:
    """For servers without housekeeping."""
    return {}


class PageRenderer(Protocol):
    """Draws pages for people (web fills it). They hold no scripts, and one style sheet of their own."""

    @property
    def style_source(self) -> str:
        """What a content security policy must allow as style."""
        ...

    def prediction(self, row: Prediction, *, output: Any, links: Mapping[str, str]) -> bytes:
        """The page of a prediction. `links` maps links to its files to media types; `output` is what else it has."""
        ...

    def removed(self, prediction_id: str) -> bytes:
        """The page of a prediction whose data is gone."""
        ...

    def closed(self) -> bytes:
        """The page for a caller without access: it reveals nothing."""
        ...


@dataclass(frozen=True, kw_only=True)
class UseCases:
    """The operations for clients; each checks the caller."""

    predictions: Predictions
    attendance: AbandonmentTracker
    catalog: Catalog
    models: ModelStore
    keys: Keys
    files: Files
    retention: RetentionService
    webhooks: WebhookAdmin


@dataclass(frozen=True, kw_only=True)
class Content:
    """Where large values come from and go to. Without `large`, bodies are read in the loop's thread, whatever their
    size; without a `download_secret`, no download of an uploaded file is possible.
    """

    blobs: Blobs
    links: LinkSigner
    data_ends: ExpiryPolicy
    download_secret: bytes = b""
    large: LargeBodies | None = None


@dataclass(frozen=True, kw_only=True)
class HealthChecks:
    """Whether this server may be given work."""

    health: Health
    check_store: CheckStore = no_fault
    housekeeping_faults: Health = no_housekeeping_faults


@dataclass(frozen=True, kw_only=True)
class LocalModels:
    """The model processes of this machine. The defaults are those of a server that runs none."""

    replicas: ListReplicas = no_replicas
    own_log: ReadOwnLog = no_lines
    clear_setup: ClearSetup = nothing_to_clear
    why_starting: WhyStarting = no_reason
