"""What the handlers work with. All of it comes from outside."""

from typing import Final, get_args

from halley.api.dependencies import Content, HealthChecks, LocalModels, PageRenderer, UseCases
from halley.api.http.batches import Batches
from halley.api.http.budget import BodyBudget
from halley.api.http.routing import Route
from halley.api.presentation.cache import AnswerCache, DeliveredFiles
from halley.api.presentation.encoded import EncodedAnswers
from halley.api.presentation.ignored import IgnoredMembers
from halley.api.presentation.listed import ListedItems
from halley.api.presentation.present import Presenter
from halley.api.repeats import Repeats
from halley.api.waiting.hub import Hub
from halley.api.waiting.last_seen import Polls
from halley.api.waiting.revocation import RevocationWatch
from halley.clock import Clock
from halley.ids import NewId
from halley.predictions.repeats import How
from halley.settings import Settings
from halley.threads import MadeOnce

REPLAYED_BY: Final = ("idempotency_key", *get_args(How))


class ApiContext:
    """Everything that a handler may use."""

    def __init__(
        self,
        *,
        settings: Settings,
        use_cases: UseCases,
        content: Content,
        checks: HealthChecks,
        local_models: LocalModels,
        pages: MadeOnce[PageRenderer],
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self.settings = settings
        self.shown_settings = settings  # with what SIGHUP has changed since the start
        self.limits = settings.limits
        self.clock = clock
        self.new_id = new_id
        self.pages = pages
        self._take_use_cases(use_cases)
        self._take_content(content)
        self._take_reports(checks, local_models)
        self._make_presentation(content, local_models)
        self._make_waiting()
        self.bodies = BodyBudget(
            total_bytes=settings.limits.bodies_bytes,
            per_key_bytes=settings.limits.bodies_per_key_bytes,
        )
        self.repeats = Repeats(clock, is_on=settings.quirks.repeated_creates)
        # creates answered with an earlier prediction, by how it was recognised
        self.replayed = dict.fromkeys(REPLAYED_BY, 0)
        self.ignored_members = IgnoredMembers()
        self.started_at = clock.now()
        self.routes: tuple[Route, ...] = ()  # all that are served: `Api` sets them
        # the OpenAPI document, after the first request for it, and its server
        self.description: tuple[str, bytes] | None = None
        self.is_draining = False

    def _take_use_cases(self, use_cases: UseCases) -> None:
        self.predictions = use_cases.predictions
        self.overview = use_cases.of_predictions.overview
        self.reruns = use_cases.of_predictions.reruns
        self.bulk = use_cases.of_predictions.bulk
        self.attendance = use_cases.attendance
        self.catalog = use_cases.catalog
        self.models = use_cases.models
        self.keys = use_cases.keys
        self.key_usages = use_cases.of_predictions.key_usages
        self.files = use_cases.files
        self.retention = use_cases.retention
        self.webhooks = use_cases.webhooks

    def _take_content(self, content: Content) -> None:
        self.blobs = content.blobs
        self.links = content.links
        self.download_secret = content.download_secret
        self.large = content.large

    def _take_reports(self, checks: HealthChecks, local_models: LocalModels) -> None:
        self.health = checks.health
        self.check_store = checks.check_store
        self.housekeeping_faults = checks.housekeeping_faults
        self.replicas = local_models.replicas
        self.memory_budget_bytes = local_models.memory_budget_bytes
        self.replica_log = local_models.replica_log
        self.clear_setup = local_models.clear_setup
        self.upstreams = local_models.upstreams

    def _make_presentation(self, content: Content, local_models: LocalModels) -> None:
        self.presenter = Presenter(
            settings=self.settings,
            catalog=self.catalog,
            blobs=content.blobs,
            links=content.links,
            data_ends=content.data_ends,
            clock=self.clock,
            why_starting=local_models.why_starting,
        )
        self.cache = AnswerCache()
        self.listed = ListedItems(self.presenter)
        self.delivered = DeliveredFiles()
        self.batches = Batches()
        self.encoded = EncodedAnswers(cache=self.cache, presenter=self.presenter, links=content.links, clock=self.clock)

    def _make_waiting(self) -> None:
        self.revocations = RevocationWatch(keys=self.keys, clock=self.clock)
        self.hub = Hub(
            predictions=self.predictions,
            attendance=self.attendance,
            revocations=self.revocations,
            clock=self.clock,
            coalesce_seconds=self.limits.hold_progress_seconds,
        )
        self.polls = Polls()
