"""Builds the parts and connects them. No part searches for another: each gets what it needs as an argument."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from halley.api.application import Api, build_api
from halley.api.dependencies import Content, HealthChecks, UseCases
from halley.api.waiting.change_poller import ChangePoller
from halley.app.foundation import Foundation, open_foundation, open_json_process
from halley.app.local_runtime import LocalRuntime, local_models, make_loader, open_local_runtime
from halley.app.models import ModelLoader
from halley.app.readiness import StoreCheck
from halley.app.webhooks import WebhookParts
from halley.app.work import WorkParts, build_work
from halley.assets.files import Files
from halley.clock import Clock, SystemClock
from halley.dispatch.worker import Worker
from halley.keys.service import Keys
from halley.maintenance.maintainer import Maintainer
from halley.models.catalog import Catalog
from halley.offload.process import JsonProcess
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.progress_cache import ProgressCache
from halley.predictions.service import Predictions
from halley.providers.local import LocalProvider
from halley.retention.service import RetentionService
from halley.retry import HousekeepingFaults
from halley.settings import Settings
from halley.store.ports import OpenStore, Store
from halley.web.pages import HtmlPages
from halley.webhooks.service import WebhookService


@dataclass(frozen=True, kw_only=True)
class Services:
    """The running parts that start and stop need."""

    base: Foundation
    runtime: LocalRuntime
    work: WorkParts
    use_cases: UseCases
    api: Api
    loader: ModelLoader
    webhooks: WebhookService
    store_check: StoreCheck

    @property
    def worker(self) -> Worker:
        return self.work.worker

    @property
    def maintainer(self) -> Maintainer:
        return self.work.maintainer

    @property
    def predictions(self) -> Predictions:
        return self.work.predictions

    @property
    def attendance(self) -> AbandonmentTracker:
        return self.work.attendance

    @property
    def provider(self) -> LocalProvider:
        return self.runtime.provider

    @property
    def keys(self) -> Keys:
        return self.use_cases.keys

    @property
    def retention(self) -> RetentionService:
        return self.use_cases.retention

    @property
    def catalog(self) -> Catalog:
        return self.base.catalog

    @property
    def running(self) -> ProgressCache:
        return self.base.running

    @property
    def clock(self) -> Clock:
        return self.base.clock

    @property
    def store(self) -> Store:
        return self.base.data.store

    @property
    def change_poller(self) -> ChangePoller:
        return self.base.signals.change_poller

    @property
    def housekeeping_faults(self) -> HousekeepingFaults:
        return self.base.signals.housekeeping_faults


@asynccontextmanager
async def build(
    settings: Settings,
    environ: Mapping[str, str],
    open_store: OpenStore,
    *,
    clock: Clock | None = None,
) -> AsyncIterator[Services]:
    """Open all parts in order; at the end of the block they are closed in reverse order.

    A test can pass its own clock.

    Raises:
        Unusable: the data cannot be used as it is.
    """
    async with AsyncExitStack() as stack:
        base = await open_foundation(stack, settings, environ, open_store, clock or SystemClock())
        runtime = await open_local_runtime(stack, base)
        large = await open_json_process(stack, base)
        work = build_work(base, runtime.provider, large)
        webhook_parts = _webhook_parts(base)
        use_cases = _use_cases(base, work, webhook_parts)
        store_check = StoreCheck(base.data.store.try_write, base.clock, refusals=lambda: base.data.store.refusals)
        checks = HealthChecks(
            health=lambda: _faults(base, work),
            check_store=store_check.fault,
            housekeeping_faults=base.signals.housekeeping_faults.texts,
        )
        api = _api(base, runtime, use_cases, checks, large)
        webhooks = webhook_parts.service(api.pictures, base.signals.housekeeping_faults)
        _connect(base, api, webhooks)
        yield Services(
            base=base,
            runtime=runtime,
            work=work,
            use_cases=use_cases,
            api=api,
            loader=make_loader(base, runtime, work.worker),
            webhooks=webhooks,
            store_check=store_check,
        )


def _webhook_parts(base: Foundation) -> WebhookParts:
    return WebhookParts(
        base.settings,
        base.data.secrets,
        store=base.data.store,
        bus=base.signals.bus,
        data_ends=base.data.periods,
        clock=base.clock,
        new_id=base.new_id,
        running=base.running,
    )


def _use_cases(base: Foundation, work: WorkParts, webhook_parts: WebhookParts) -> UseCases:
    data = base.data
    files = _files(base)
    return UseCases(
        predictions=work.predictions,
        attendance=work.attendance,
        catalog=base.catalog,
        models=data.store,
        keys=Keys(
            store=data.store,
            clock=base.clock,
            new_id=base.new_id,
            pepper=data.secrets.key_pepper,
            on_options=data.periods.note_key,
        ),
        files=files,
        retention=RetentionService(
            store=data.store,
            blob_references=data.blob_references,
            uploads=files,
            periods=data.periods,
            bus=base.signals.bus,
            clock=base.clock,
            housekeeping_faults=base.signals.housekeeping_faults,
        ),
        webhooks=webhook_parts.desk,
    )


def _files(base: Foundation) -> Files:
    limits, data = base.settings.limits, base.data
    return Files(
        store=data.store.files,
        blob_references=data.blob_references,
        blobs=data.blobs,
        clock=base.clock,
        new_id=base.new_id,
        upload_limit_bytes=limits.upload_bytes,
        name_limit_bytes=limits.file_name_bytes,
        life_seconds=limits.file_life_seconds,
    )


def _api(base: Foundation, runtime: LocalRuntime, use_cases: UseCases, checks: HealthChecks, large: JsonProcess) -> Api:
    data = base.data
    return build_api(
        settings=base.settings,
        use_cases=use_cases,
        content=Content(
            blobs=data.blobs,
            links=data.links,
            data_ends=data.periods,
            download_secret=data.links.files_secret,
            large=large,
        ),
        checks=checks,
        local_models=local_models(base, runtime),
        pages=HtmlPages(),
        clock=base.clock,
        new_id=base.new_id,
    )


def _connect(base: Foundation, api: Api, webhooks: WebhookService) -> None:
    """Who is told of changes: by hints, which may be lost, and those who wait by a poll of the store as well."""
    for receive in (api.receive, webhooks.receive):
        base.signals.bus.subscribe(receive)
    base.signals.change_poller.tell(api.look, is_wanted=lambda: api.has_waiting)


def _faults(base: Foundation, work: WorkParts) -> dict[str, str]:
    """The reasons why this server cannot accept work now, for /readyz."""
    faults = {"models": "being loaded"} if base.catalog.is_loading else {}
    if work.worker.fault is not None:
        faults["session"] = work.worker.fault
    if base.data.store.fullness is not None:
        faults["queue"] = base.data.store.fullness
    if base.data.store.broken is not None:
        faults["store"] = str(base.data.store.broken)
    return faults
