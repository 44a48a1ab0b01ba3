"""Builds the parts that accept predictions and run them: input checks, dispatch, the use cases around them."""

from dataclasses import dataclass

from halley.app.foundation import Foundation
from halley.assets.inputs import InputFileStager, OwnFiles, StagingRules
from halley.assets.output_links import OutputLinks
from halley.assets.outputs import OutputFileStore
from halley.dispatch.parts import RunFiles, RunParts
from halley.dispatch.routing import CatalogRouter
from halley.dispatch.rules import DispatchRules, OutputCaps
from halley.dispatch.worker import Worker
from halley.egress import Egress, rules_from
from halley.maintenance.maintainer import Maintainer
from halley.maintenance.rules import MaintenanceRules
from halley.offload.process import JsonProcess
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.inputs import InputCheck
from halley.predictions.service import Admission, Predictions
from halley.providers.local import LocalProvider
from halley.settings import Settings


@dataclass(frozen=True, kw_only=True)
class WorkParts:
    """Predictions, and what runs them."""

    worker: Worker
    maintainer: Maintainer
    predictions: Predictions
    attendance: AbandonmentTracker


def build_work(base: Foundation, provider: LocalProvider, large: JsonProcess) -> WorkParts:
    """`large` reads and changes what is too large for the loop's thread."""
    egress = base.settings.egress
    fetch = Egress(rules_from(egress.allow, http=egress.http), max_redirects=egress.max_redirects)
    stager = _stager(base, fetch, large)
    output_links = OutputLinks(fetch=fetch, limit_bytes=egress.max_bytes, deadline_seconds=egress.timeout_seconds)
    keeper = OutputFileStore(blob_references=base.data.blob_references, large=large, links=output_links)
    quirks, limits = base.settings.quirks, base.settings.limits
    inputs = InputCheck(file_links=stager, strict=quirks.strict_inputs, most=limits.listed_faults, large=large)
    session_id = base.new_id()
    maintainer = _maintainer(base, session_id)
    files = RunFiles(stager=stager, workspace=base.data.workspace, keeper=keeper)
    worker = _worker(base, provider, files, inputs, session_id=session_id, maintainer=maintainer)
    base.signals.bus.subscribe(worker.receive)
    predictions = Predictions(
        store=base.data.store,
        admission=Admission(catalog=base.catalog, placement=worker, inputs=inputs),
        bus=base.signals.bus,
        data_ends=base.data.periods,
        clock=base.clock,
        new_id=base.new_id,
        running=base.running,
    )
    attendance = AbandonmentTracker(
        store=base.data.store,
        predictions=predictions,
        clock=base.clock,
        grace_seconds=base.settings.runs.abandoned_grace_seconds,
        node_id=base.new_id(),
    )
    return WorkParts(worker=worker, maintainer=maintainer, predictions=predictions, attendance=attendance)


def _stager(base: Foundation, fetch: Egress, large: JsonProcess) -> InputFileStager:
    settings, data = base.settings, base.data
    egress = settings.egress
    return InputFileStager(
        fetch=fetch,
        own=OwnFiles(
            links=data.links,
            files=data.store.files,
            outputs=base.reader(),
            download_secret=data.links.files_secret,
        ),
        blobs=data.blobs,
        blob_references=data.blob_references,
        clock=base.clock,
        rules=StagingRules(
            inline_limit_bytes=settings.limits.inline_data_bytes,
            fetch_limit_bytes=egress.max_bytes,
            fetch_seconds=egress.timeout_seconds,
            links_need_account=settings.quirks.output_links_need_key,
            allow_folders=tuple(settings.inputs.allow_folders),
        ),
        large=large,
    )


def _maintainer(base: Foundation, session_id: str) -> Maintainer:
    runs = base.settings.runs
    return Maintainer(
        queue=base.data.store,
        catalog=base.catalog,
        bus=base.signals.bus,
        clock=base.clock,
        session_id=session_id,
        rules=MaintenanceRules(
            lease_seconds=runs.lease_seconds, max_attempts=runs.max_attempts, max_queue_seconds=runs.max_queue_seconds
        ),
        is_alone=True,  # the lock of the data folder
    )


def _worker(
    base: Foundation,
    provider: LocalProvider,
    files: RunFiles,
    inputs: InputCheck,
    *,
    session_id: str,
    maintainer: Maintainer,
) -> Worker:
    parts = RunParts(
        queue=base.data.store,
        bus=base.signals.bus,
        clock=base.clock,
        catalog=base.catalog,
        files=files,
        rules=_dispatch_rules(base.settings),
        inputs=inputs,
    )
    providers = CatalogRouter(base.catalog, local=provider, others={})
    worker = Worker(parts, providers=providers, reports=maintainer, session_id=session_id, new_id=base.new_id)
    maintainer.keep_first(worker.renew_late)
    provider.listen(on_room=worker.room, on_broken=worker.broken)
    return worker


def _dispatch_rules(settings: Settings) -> DispatchRules:
    runs, limits = settings.runs, settings.limits
    return DispatchRules(
        lease_seconds=runs.lease_seconds,
        heartbeat_seconds=runs.heartbeat_seconds,
        max_queue_seconds=runs.max_queue_seconds,
        run_timeout_seconds=runs.run_timeout_seconds,
        caps=OutputCaps(
            log_bytes=limits.log_bytes,
            metric_bytes=limits.metric_bytes,
            output_items=limits.output_events,
            output_bytes=limits.output_bytes,
        ),
    )
