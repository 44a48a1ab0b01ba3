"""Builds the parts and connects them: each part gets its dependencies as arguments.

Each role has its own parts, and a process has the parts of its roles only. `Foundation` is the same for all.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import msgspec

from halley.api.application import Api
from halley.api.context import ApiContext
from halley.api.dependencies import Content, HealthChecks, LocalModels, UseCases, no_reason
from halley.api.http.origins import Variants
from halley.api.presentation.payloads import PredictionPayloads
from halley.api.presentation.present import Presenter
from halley.app.foundation import Foundation, open_foundation, open_json_process
from halley.app.local_runtime import LocalRuntime, local_models, make_loader, open_local_runtime
from halley.app.models import ModelLoader
from halley.app.pages import dashboard_routes, prediction_pages
from halley.app.readiness import StoreCheck
from halley.app.roles import Node, Role
from halley.app.upstream_views import upstream_views
from halley.app.upstreams import Upstreams
from halley.app.webhooks import WebhookParts
from halley.app.without_worker import OfferedModels, QueueOnly
from halley.app.work import (
    InputParts,
    build_inputs,
    build_maintainer,
    build_outcomes,
    build_own_inputs,
    build_predictions,
    build_use_cases,
    build_worker,
)
from halley.assets.files import Files
from halley.clock import Clock, SystemClock
from halley.dispatch.late_runs import LateRuns
from halley.dispatch.worker import Worker
from halley.keys.service import Keys
from halley.keys.sign_ins import SignIns
from halley.maintenance.maintainer import Maintainer
from halley.models.catalog import Catalog
from halley.offload.process import JsonProcess
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.hints import Changed, MessageWaits
from halley.predictions.service import Predictions
from halley.predictions.unknown_outcomes import UnknownOutcomes
from halley.retention.service import RetentionService
from halley.retry import HousekeepingFaults
from halley.settings import Settings
from halley.store.ports import OpenStore, Store
from halley.threads import MadeOnce
from halley.webhooks.on_duty import WebhooksOnDuty

T = TypeVar("T")
_WHOLE: Final = Node()


class WorkerParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that run predictions."""

    worker: Worker
    loader: ModelLoader
    runtime: LocalRuntime
    upstreams: Upstreams
    outcomes: UnknownOutcomes
    late_runs: LateRuns


class MaintainerParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of work that one process does for all."""

    maintainer: Maintainer
    webhooks: WebhooksOnDuty
    retention: RetentionService


class ApiParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that answer requests."""

    api: Api
    sign_ins: SignIns
    use_cases: UseCases
    store_check: StoreCheck


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The running parts that start and stop need; those of a missing role are None.

    The properties below may be used only if the process has the role.
    """

    base: Foundation
    working: WorkerParts | None
    maintaining: MaintainerParts | None
    answering: ApiParts | None
    offered: OfferedModels | None  # maintains the catalog of a process without a worker

    @property
    def worker(self) -> Worker:
        return _present(self.working, Role.WORKER).worker

    @property
    def loader(self) -> ModelLoader:
        return _present(self.working, Role.WORKER).loader

    @property
    def upstreams(self) -> Upstreams:
        return _present(self.working, Role.WORKER).upstreams

    @property
    def maintainer(self) -> Maintainer:
        return _present(self.maintaining, Role.MAINTAINER).maintainer

    @property
    def webhooks(self) -> WebhooksOnDuty:
        return _present(self.maintaining, Role.MAINTAINER).webhooks

    @property
    def retention(self) -> RetentionService:
        return _present(self.maintaining, Role.MAINTAINER).retention

    @property
    def api(self) -> Api:
        return _present(self.answering, Role.API).api

    @property
    def use_cases(self) -> UseCases:
        return _present(self.answering, Role.API).use_cases

    @property
    def predictions(self) -> Predictions:
        return self.use_cases.predictions

    @property
    def keys(self) -> Keys:
        return self.use_cases.keys

    @property
    def sign_ins(self) -> SignIns:
        return _present(self.answering, Role.API).sign_ins

    @property
    def attendance(self) -> AbandonmentTracker:
        return self.use_cases.attendance

    @property
    def catalog(self) -> Catalog:
        return self.base.catalog

    @property
    def clock(self) -> Clock:
        return self.base.clock

    @property
    def store(self) -> Store:
        return self.base.data.store

    @property
    def housekeeping_faults(self) -> HousekeepingFaults:
        return self.base.signals.housekeeping_faults


def _present(parts: T | None, role: Role) -> T:
    if parts is None:
        raise RuntimeError(f"this process has not the role {role}")
    return parts


@asynccontextmanager
async def build(
    settings: Settings,
    environ: Mapping[str, str],
    open_store: OpenStore,
    *,
    clock: Clock | None = None,
    node: Node = _WHOLE,
) -> AsyncIterator[Services]:
    """Open the parts of the node's roles in order; at the end of the block they are closed in reverse order.

    A test can pass its own clock.

    Raises:
        Unusable: the data cannot be used as it is.
    """
    async with AsyncExitStack() as stack:
        base = await open_foundation(stack, settings, environ, open_store, clock=clock or SystemClock(), node=node)
        common = _common(base, node)
        maintainer = build_maintainer(base, node) if Role.MAINTAINER in node.roles else None
        working, answering = None, None
        if node.roles & {Role.WORKER, Role.API}:
            large = await open_json_process(stack, base)
            inputs = build_inputs(base, large)
            if Role.WORKER in node.roles:
                runtime = await open_local_runtime(stack, base, node)
                upstreams = Upstreams(
                    base,
                    environ,
                    runtime.provider,
                    own_inputs=build_own_inputs(base, inputs),
                    egress=inputs.fetch,
                )
                stack.push_async_callback(upstreams.close)
                upstreams.apply(settings)
                worker = build_worker(base, inputs, runtime.provider, upstreams, large, maintainer=maintainer)
                outcomes = build_outcomes(base, inputs, upstreams)
                late_runs = LateRuns(upstreams.late_places, base.data.store, outcomes.found, base.clock)
                upstreams.hooks.on_late = late_runs.take
                working = WorkerParts(
                    worker=worker,
                    runtime=runtime,
                    loader=make_loader(base, runtime, worker, upstreams.routed.on_local_broken),
                    upstreams=upstreams,
                    outcomes=outcomes,
                    late_runs=late_runs,
                )
            if Role.API in node.roles:
                answering = _answering(common, inputs, large, working)
        yield Services(
            base=base,
            working=working,
            maintaining=None if maintainer is None else _maintaining(common, maintainer, answering),
            answering=answering,
            offered=_offered(base) if working is None else None,
        )


def _offered(base: Foundation) -> OfferedModels:
    return OfferedModels(base.data.store, base.catalog, base.clock, kept_seconds=base.settings.runs.unoffered_seconds)


class _Common(msgspec.Struct, frozen=True, kw_only=True):
    """Parts that the API and the maintainer share, if one process has both."""

    base: Foundation
    node: Node
    files: Files
    retention: RetentionService
    webhooks: WebhookParts


def _common(base: Foundation, node: Node) -> _Common:
    data, files = base.data, _files(base)
    retention = RetentionService(
        store=data.store,
        blob_references=data.blob_references,
        uploads=files,
        periods=data.periods,
        bus=base.signals.bus,
        clock=base.clock,
        housekeeping_faults=base.signals.housekeeping_faults,
    )
    return _Common(base=base, node=node, files=files, retention=retention, webhooks=_webhook_parts(base))


def _answering(common: _Common, inputs: InputParts, large: JsonProcess, working: WorkerParts | None) -> ApiParts:
    base = common.base
    placement, submit_limits = (QueueOnly(), None) if working is None else (working.worker, working.upstreams.limits)
    predictions = build_predictions(base, inputs, placement, submit_limits)
    use_cases = _use_cases(common, predictions)
    store = base.data.store
    store_check = StoreCheck(store.try_write, base.clock, refusals=lambda: store.refusals)
    checks = HealthChecks(
        health=lambda: _faults(base, working),
        check_store=store_check.fault,
        housekeeping_faults=base.signals.housekeeping_faults.texts,
    )
    local = LocalModels() if working is None else _local_models(base, working)
    sign_ins = SignIns(store=store, keys=use_cases.keys, clock=base.clock, secret=base.data.secrets.key_pepper)
    api = Api(_context(base, use_cases, checks, local, large), load_pages=partial(dashboard_routes, sign_ins=sign_ins))
    base.signals.bus.subscribe(api.receive, Changed)
    base.signals.change_poller.tell(api.look, is_wanted=lambda: api.has_waiting)
    return ApiParts(api=api, sign_ins=sign_ins, use_cases=use_cases, store_check=store_check)


def _maintaining(common: _Common, maintainer: Maintainer, answering: ApiParts | None) -> MaintainerParts:
    base = common.base
    pictures = _payloads(base) if answering is None else answering.api.pictures
    webhooks = common.webhooks.service(pictures, base.signals.housekeeping_faults)
    base.signals.bus.subscribe(webhooks.receive, Changed, MessageWaits)
    return MaintainerParts(maintainer=maintainer, webhooks=webhooks, retention=common.retention)


def _payloads(base: Foundation) -> PredictionPayloads:
    """The payloads of messages, in a process without an API."""
    presenter = Presenter(
        settings=base.settings,
        catalog=base.catalog,
        blobs=base.data.blobs,
        links=base.data.links,
        data_ends=base.data.periods,
        clock=base.clock,
        why_starting=no_reason,
    )
    return PredictionPayloads(presenter, Variants(base.settings))


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


def _use_cases(common: _Common, predictions: Predictions) -> UseCases:
    base, data = common.base, common.base.data
    return UseCases(
        of_predictions=build_use_cases(base, common.node, predictions, common.retention),
        catalog=base.catalog,
        models=data.store,
        keys=Keys(
            store=data.store,
            clock=base.clock,
            new_id=base.new_id,
            pepper=data.secrets.key_pepper,
            on_options=data.periods.note_key,
        ),
        files=common.files,
        retention=common.retention,
        webhooks=common.webhooks.admin,
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


def _local_models(base: Foundation, working: WorkerParts) -> LocalModels:
    upstreams = working.upstreams
    views = upstream_views(upstreams, working.outcomes, base.data.store, base.clock)
    return local_models(base, working.runtime, views, upstreams.routed.why_waiting)


def _context(
    base: Foundation, use_cases: UseCases, checks: HealthChecks, local: LocalModels, large: JsonProcess
) -> ApiContext:
    data = base.data
    return ApiContext(
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
        local_models=local,
        pages=MadeOnce(prediction_pages),
        clock=base.clock,
        new_id=base.new_id,
    )


def _faults(base: Foundation, working: WorkerParts | None) -> dict[str, str]:
    """The reasons why this server cannot accept work now, for /readyz."""
    faults = {"models": "being loaded"} if base.catalog.is_loading else {}
    if working is not None and working.worker.fault is not None:
        faults["session"] = working.worker.fault
    if base.data.store.fullness is not None:
        faults["queue"] = base.data.store.fullness
    if base.data.store.broken is not None:
        faults["store"] = str(base.data.store.broken)
    return faults
