"""Builds the parts and connects them. No part looks for another: each is handed what it needs."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from anyio import to_thread

from halley.api.application import Api, build_api
from halley.app.models import ModelLoader
from halley.app.readiness import StoreCheck
from halley.app.replicas import clear_setup, log_lines, replica_rows
from halley.app.webhooks import WebhookParts
from halley.assets.blob_references import BlobReferences
from halley.assets.files import Files
from halley.assets.inputs import InputFileStager
from halley.assets.links import LinkSigner
from halley.assets.outputs import OutputFileStore
from halley.blobs.files import FileBlobs
from halley.bus.local import LocalBus
from halley.clock import Clock, SystemClock
from halley.dispatch.dispatcher import Dispatcher
from halley.dispatch.recorder import OutputCaps
from halley.dispatch.routing import CatalogRouter
from halley.dispatch.rules import DispatchRules
from halley.egress import Egress, rules_from
from halley.events.change_poller import ChangePoller
from halley.events.hub import Hub
from halley.ids import TimeOrderedIds
from halley.keys.service import Keys
from halley.models.catalog import Catalog
from halley.offload.process import JsonProcess
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.inputs import InputCheck
from halley.predictions.ports import QueueLimits
from halley.predictions.progress_cache import ProgressCache
from halley.predictions.reading import PredictionReader
from halley.predictions.service import Predictions
from halley.providers.local import LocalProvider
from halley.replicas.digest import DigestCache
from halley.replicas.environments.environments import open_environments
from halley.replicas.host import Boundaries, ReplicaRules
from halley.replicas.machine import free_bytes, total_bytes
from halley.replicas.places import Places, find_way
from halley.replicas.replica_log import LogRules, OwnLogs
from halley.replicas.setup_layers import SetupLayers
from halley.replicas.workspace import RunFolders, scratch_folder
from halley.retention.periods import Periods
from halley.retention.service import RetentionService
from halley.retry import HousekeepingFaults
from halley.settings import Settings
from halley.store.secrets import load_secrets
from halley.store.sqlite.store import SqliteStore
from halley.web.pages import HtmlPages
from halley.webhooks.service import WebhookService

_log = logging.getLogger(__name__)

MEMORY_SHARE: Final = 0.9  # of what there is, for all models, where no budget is set
MEMORY_SHORT_SHARE: Final = 0.25  # with more than this free nobody needs to measure

DATABASE_NAME: Final = "halley.db"

OpenStore = Callable[..., AbstractAsyncContextManager[SqliteStore]]
"""With the signature of `store.sqlite.open_sqlite`; tests hand in one that fails on purpose."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """The running parts that start and stop need."""

    api: Api
    attendance: AbandonmentTracker
    dispatcher: Dispatcher
    provider: LocalProvider
    loader: ModelLoader
    keys: Keys
    catalog: Catalog
    predictions: Predictions
    running: ProgressCache
    webhooks: WebhookService
    retention: RetentionService
    change_poller: ChangePoller
    store_check: StoreCheck
    housekeeping_faults: HousekeepingFaults
    clock: Clock
    store: SqliteStore


@asynccontextmanager
async def build(
    settings: Settings,
    environ: Mapping[str, str],
    open_store: OpenStore,
    *,
    clock: Clock | None = None,
) -> AsyncIterator[Services]:
    """Open what needs opening, in order; at the end of the block it is closed in reverse.

    A test hands in a clock of its own.

    Raises:
        Unusable: the data cannot be used as it is.
    """
    clock = clock or SystemClock()
    new_id = TimeOrderedIds(clock)
    database = settings.data / DATABASE_NAME
    secrets = load_secrets(settings.data, is_new=not database.exists())
    limits, runs = settings.limits, settings.runs
    async with AsyncExitStack() as stack:
        queue_limits = QueueLimits(per_account=limits.queued_per_account, total=limits.queued_total)
        store = await stack.enter_async_context(
            open_store(database, limits=queue_limits, keep_backups=settings.upgrades.kept)
        )
        new_id.follow(await store.newest_id())
        bus, hub, change_poller, housekeeping_faults = (
            LocalBus(),
            Hub(),
            ChangePoller(log=store, clock=clock),
            HousekeepingFaults(),
        )
        await change_poller.open()
        blobs = FileBlobs(settings.data / "blobs")
        blobs.prepare()
        workspace = RunFolders(settings.data / "runs")
        workspace.sweep()
        scratch = stack.enter_context(scratch_folder(settings.data / "scratch"))
        environ = {**environ, "TMPDIR": str(scratch)}  # models that are stopped leave their temporary files behind
        shelf = BlobReferences(blobs=blobs, ledger=store)
        links = LinkSigner(secrets.link_key, clock, limits.link_seconds)
        catalog = Catalog(store)
        periods = Periods(settings=settings.retention, model_settings=settings.models, keys=store, models=store)
        await periods.refresh()
        places = await _open_places(settings, scratch, environ, clock)
        environments = open_environments(settings, clock=clock, environ=environ)
        stack.push_async_callback(environments.close)
        await environments.sweep()
        own_logs = OwnLogs(
            clock, LogRules(kept_lines=limits.own_log_lines, lines_per_minute=limits.own_log_lines_per_minute)
        )
        provider = await stack.enter_async_context(
            LocalProvider(
                clock=clock,
                environ=environ,
                own_log=own_logs,
                rules=ReplicaRules(
                    cancel_grace_seconds=runs.cancel_grace_seconds,
                    setup_timeout_seconds=runs.setup_timeout_seconds,
                    health_check_seconds=runs.health_check_seconds,
                    health_timeout_seconds=runs.health_timeout_seconds,
                    idle_unload_seconds=settings.memory.idle_unload_seconds,
                    turn_seconds=settings.memory.turn_seconds,
                ),
                **_memory_budget(settings),
                environments=environments,
                places=places,
                boundaries=_boundaries(settings),
            )
        )
        running = ProgressCache(clock)
        large = await stack.enter_async_context(JsonProcess(environ, limits.inline_data_bytes))
        stager = InputFileStager(
            fetch=Egress(
                rules_from(settings.egress.allow, http=settings.egress.http),
                max_redirects=settings.egress.max_redirects,
            ),
            blobs=blobs,
            links=links,
            files=store.files,
            outputs=PredictionReader(store=store, data_ends=periods, clock=clock, running=running),
            shelf=shelf,
            clock=clock,
            inline_limit_bytes=limits.inline_data_bytes,
            fetch_limit_bytes=settings.egress.max_bytes,
            fetch_seconds=settings.egress.timeout_seconds,
            download_secret=links.files_secret,
            links_need_account=settings.quirks.output_links_need_key,
            allow_folders=settings.inputs.allow_folders,
            large=large,
        )
        inputs = InputCheck(
            file_links=stager, strict=settings.quirks.strict_inputs, most=limits.listed_faults, large=large
        )
        dispatcher = Dispatcher(
            queue=store,
            providers=CatalogRouter(catalog, local=provider, others={}),
            stager=stager,
            keeper=OutputFileStore(shelf=shelf, large=large),
            workspace=workspace,
            catalog=catalog,
            bus=bus,
            clock=clock,
            new_id=new_id,
            rules=_dispatch_rules(settings),
            inputs=inputs,
        )
        provider.listen(on_room=dispatcher.room, on_broken=dispatcher.broken)
        bus.subscribe(hub.receive)
        bus.subscribe(dispatcher.receive)
        predictions = Predictions(
            store=store,
            catalog=catalog,
            placement=dispatcher,
            bus=bus,
            wakeups=hub,
            data_ends=periods,
            clock=clock,
            new_id=new_id,
            inputs=inputs,
            running=running,
        )
        attendance = AbandonmentTracker(
            store=store, predictions=predictions, clock=clock, grace_seconds=runs.abandoned_grace_seconds
        )
        keys = Keys(store=store, clock=clock, new_id=new_id, pepper=secrets.key_pepper, on_options=periods.note_key)
        office = WebhookParts(
            settings, secrets, store=store, bus=bus, data_ends=periods, clock=clock, new_id=new_id, running=running
        )
        files = Files(
            store=store.files,
            shelf=shelf,
            blobs=blobs,
            clock=clock,
            new_id=new_id,
            upload_limit_bytes=limits.upload_bytes,
            name_limit_bytes=limits.file_name_bytes,
            life_seconds=limits.file_life_seconds,
        )
        retention = RetentionService(
            store=store,
            shelf=shelf,
            uploads=files,
            periods=periods,
            bus=bus,
            clock=clock,
            housekeeping_faults=housekeeping_faults,
        )
        store_check = StoreCheck(store.try_write, clock, refusals=lambda: store.refusals)
        api = build_api(
            settings=settings,
            predictions=predictions,
            attendance=attendance,
            catalog=catalog,
            models=store,
            keys=keys,
            files=files,
            retention=retention,
            data_ends=periods,
            blobs=blobs,
            links=links,
            clock=clock,
            new_id=new_id,
            health=lambda: _faults(catalog, store, dispatcher),
            check_store=store_check.fault,
            housekeeping_faults=housekeeping_faults.told,
            pages=HtmlPages(),
            replicas=lambda: replica_rows(provider, catalog),
            own_log=lambda model, after: log_lines(own_logs, model, after),
            clear_setup=lambda model: clear_setup(places, provider, store, model),
            webhooks=office.desk,
            why_starting=provider.why_starting,
            download_secret=links.files_secret,
            large=large,
        )
        bus.subscribe(api.receive)
        webhooks = office.service(api.pictures, housekeeping_faults)
        bus.subscribe(webhooks.receive)
        bus.subscribe(office.desk.receive)
        change_poller.tell(api.look, is_wanted=lambda: hub.has_readers)  # before anybody is woken: streams read anew
        change_poller.tell(hub.look, is_wanted=lambda: hub.has_readers)
        change_poller.tell(office.desk.look, is_wanted=lambda: office.desk.has_listeners)
        loader = ModelLoader(
            catalog=catalog,
            store=store,
            provider=provider,
            clock=clock,
            environ=environ,
            digests=DigestCache(settings.data / "digests.json"),
            environments=environments,
            places=places,
            on_ready=dispatcher.look,
            on_broken=dispatcher.broken,
        )
        yield Services(
            api=api,
            attendance=attendance,
            dispatcher=dispatcher,
            provider=provider,
            loader=loader,
            keys=keys,
            catalog=catalog,
            predictions=predictions,
            running=running,
            webhooks=webhooks,
            retention=retention,
            change_poller=change_poller,
            store_check=store_check,
            housekeeping_faults=housekeeping_faults,
            clock=clock,
            store=store,
        )


def _boundaries(settings: Settings) -> Boundaries:
    return Boundaries(
        data=settings.data,
        secrets=tuple(path for path in (settings.tls.key,) if path is not None),
        input_folders=settings.inputs.allow_folders,
    )


async def _open_places(settings: Settings, scratch: Path, environ: Mapping[str, str], clock: Clock) -> Places:
    isolation = settings.isolation
    found = await to_thread.run_sync(find_way, isolation, scratch)
    _log.info("model processes are kept apart: %s", found.words())
    layers = SetupLayers(isolation.folder or settings.data / "setup", limit_bytes=isolation.setup_bytes)
    await to_thread.run_sync(layers.sweep, clock.now())
    keep = [settings.data, layers.folder, settings.environments.folder or settings.data / "envs"]
    keep += settings.inputs.allow_folders
    return Places(found, scratch, environ=environ, share=isolation.share, keep=keep, layers=layers)


def _faults(catalog: Catalog, store: SqliteStore, dispatcher: Dispatcher) -> dict[str, str]:
    """What keeps this server from taking work now, for /readyz."""
    faults = {"models": "being loaded"} if catalog.is_loading else {}
    if dispatcher.fault is not None:
        faults["session"] = dispatcher.fault
    if store.fullness is not None:
        faults["queue"] = store.fullness
    if store.broken is not None:
        faults["store"] = str(store.broken)
    return faults


def _memory_budget(settings: Settings) -> dict[str, Any]:
    """What all models may use together: as the operator says, or a share of what there is."""
    if settings.memory.budget_bytes is not None:
        return {"budget_bytes": settings.memory.budget_bytes}
    total = total_bytes()
    if not total:
        return {}
    return {
        "budget_bytes": int(total * MEMORY_SHARE),
        "is_short": lambda: free_bytes() < total * MEMORY_SHORT_SHARE,
    }


def _dispatch_rules(settings: Settings) -> DispatchRules:
    runs, limits = settings.runs, settings.limits
    return DispatchRules(
        lease_seconds=runs.lease_seconds,
        heartbeat_seconds=runs.heartbeat_seconds,
        max_attempts=runs.max_attempts,
        max_queue_seconds=runs.max_queue_seconds,
        run_timeout_seconds=runs.run_timeout_seconds,
        caps=OutputCaps(
            log_bytes=limits.log_bytes,
            metric_bytes=limits.metric_bytes,
            output_items=limits.output_events,
            output_bytes=limits.output_bytes,
        ),
    )
