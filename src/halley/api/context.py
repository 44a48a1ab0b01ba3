"""What the handlers work with. All of it comes from outside, through `build_api`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, get_args

from halley.api.http.batches import Batches
from halley.api.http.budget import BodyBudget
from halley.api.http.routing import Route
from halley.api.presentation.cache import AnswerCache, DeliveredFiles
from halley.api.presentation.encoded import EncodedAnswers
from halley.api.presentation.present import Presenter
from halley.api.presentation.wire import LogLine, ReplicaBody
from halley.api.resources.ignored import IgnoredMembers
from halley.api.resources.repeats import Repeats
from halley.api.waiting.holds import Holds
from halley.api.waiting.last_seen import Polls
from halley.api.waiting.revocation import RevocationWatch
from halley.api.waiting.waiters import Waiters
from halley.assets.files import Files
from halley.assets.links import LinkSigner
from halley.assets.ports import Blobs
from halley.clock import Clock
from halley.ids import NewId
from halley.keys.service import Keys
from halley.models.catalog import Catalog
from halley.models.ports import ModelStore
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.large import LargeBodies
from halley.predictions.ports import ExpiryPolicy
from halley.predictions.records import Prediction
from halley.predictions.repeats import How
from halley.predictions.service import Predictions
from halley.retention.service import RetentionService
from halley.settings import Settings
from halley.webhooks.admin import WebhookAdmin

CheckStore = Callable[[], Awaitable[str | None]]
"""Why the store would refuse a create now, or None."""

Health = Callable[[], Mapping[str, str]]
"""Names each part that is not ready, with the reason; empty when all are."""


ListReplicas = Callable[[], Awaitable[Sequence[ReplicaBody]]]
"""What the models of this machine are doing, measured now."""


REPLAYED_BY: Final = ("idempotency_key", *get_args(How))


async def no_replicas() -> Sequence[ReplicaBody]:
    """Of a server that runs no models itself."""
    return ()


ReadOwnLog = Callable[[str, int], Sequence[LogLine]]
"""The kept lines of a model (owner/name) behind a number."""


def no_lines(_model: str, _after: int) -> Sequence[LogLine]:
    """Of a server that runs no models itself."""
    return ()


ClearSetup = Callable[[str], Awaitable[int | None]]
"""Forgets what setups of a model (owner/name) left; gives its bytes, None if there was nothing."""


async def nothing_to_clear(_model: str) -> None:
    """Of a server that runs no models itself."""


WhyStarting = Callable[[str], str | None]
"""What predictions of a version wait for, if it is more than their turn."""


async def no_fault() -> None:
    """Of a store that takes everything."""


def no_housekeeping_faults() -> Mapping[str, str]:
    """Where nobody tidies up."""
    return {}


def no_reason(_: str) -> None:
    """Of a server that runs no models itself."""


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
        """The page for whoever has no right to see one: it tells nothing."""
        ...


class ApiContext:
    """Everything that a handler may use."""

    def __init__(
        self,
        *,
        settings: Settings,
        predictions: Predictions,
        attendance: AbandonmentTracker,
        catalog: Catalog,
        models: ModelStore,
        keys: Keys,
        files: Files,
        retention: RetentionService,
        data_ends: ExpiryPolicy,
        blobs: Blobs,
        links: LinkSigner,
        clock: Clock,
        new_id: NewId,
        health: Health,
        check_store: CheckStore,
        housekeeping_faults: Health,
        pages: PageRenderer,
        replicas: ListReplicas,
        own_log: ReadOwnLog,
        clear_setup: ClearSetup,
        webhooks: WebhookAdmin,
        why_starting: WhyStarting,
        download_secret: bytes,
        routes: tuple[Route, ...],
        large: LargeBodies | None,
    ) -> None:
        """Without `large`, bodies are read in the loop's thread whatever their size."""
        self.large = large
        self.settings = settings
        self.limits = settings.limits
        self.predictions = predictions
        self.attendance = attendance
        self.catalog = catalog
        self.models = models
        self.keys = keys
        self.files = files
        self.retention = retention
        self.blobs = blobs
        self.links = links
        self.clock = clock
        self.new_id = new_id
        self.health = health
        self.check_store = check_store
        self.housekeeping_faults = housekeeping_faults
        self.pages = pages
        self.replicas = replicas
        self.own_log = own_log
        self.clear_setup = clear_setup
        self.webhooks = webhooks
        self.download_secret = download_secret
        self.presenter = Presenter(
            settings=settings,
            catalog=catalog,
            blobs=blobs,
            links=links,
            data_ends=data_ends,
            clock=clock,
            why_starting=why_starting,
        )
        self.bodies = BodyBudget(
            total_bytes=settings.limits.bodies_bytes,
            per_key_bytes=settings.limits.bodies_per_key_bytes,
        )
        self.cache = AnswerCache()
        self.delivered = DeliveredFiles()
        self.batches = Batches()
        self.encoded = EncodedAnswers(cache=self.cache, presenter=self.presenter, links=links, clock=clock)
        self.holds = Holds()
        self.waiters = Waiters(
            predictions=predictions,
            attendance=attendance,
            clock=clock,
            calm_seconds=self.limits.hold_progress_seconds,
        )
        self.revocations = RevocationWatch(keys=keys, clock=clock)
        self.polls = Polls()
        self.repeats = Repeats(clock, is_on=settings.quirks.repeated_creates)
        self.replayed = dict.fromkeys(REPLAYED_BY, 0)  # creates answered with an earlier prediction, by what told it
        self.ignored_members = IgnoredMembers()
        self.started_at = clock.now()
        self.routes = routes
        self.description: tuple[str, bytes] | None = None  # the OpenAPI document, once asked for, and its server
        self.is_draining = False
        self.is_closing = False
