"""Builds the parts that accept and run predictions: input checks, dispatch, and the use cases."""

import msgspec

from halley.api.dependencies import PredictionUseCases
from halley.app.bulk import build_bulk
from halley.app.foundation import Foundation
from halley.app.roles import Node, Role
from halley.app.upstreams import Upstreams
from halley.app.without_maintainer import NoMaintainerHere
from halley.assets.inputs import InputFileStager, StagingRules
from halley.assets.output_links import OutputLinks
from halley.assets.outputs import OutputFileStore
from halley.assets.own_inputs import OwnInputs
from halley.assets.own_links import OwnFiles
from halley.dispatch.parts import RunFiles, RunParts
from halley.dispatch.rules import DispatchRules, OutputCaps
from halley.dispatch.worker import Worker
from halley.egress import Egress, rules_from
from halley.maintenance.maintainer import Maintainer
from halley.maintenance.rules import MaintenanceRules
from halley.models.catalog import Catalog
from halley.offload.process import JsonProcess
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.hints import StopRequested, WorkWaits
from halley.predictions.inputs import InputCheck
from halley.predictions.key_usage import KeyUsages
from halley.predictions.overview import Overview
from halley.predictions.ports import Placement, SubmitLimits
from halley.predictions.running_again import Reruns
from halley.predictions.service import Admission, Predictions
from halley.predictions.unknown_outcomes import RetryCheck, UnknownOutcomes
from halley.providers.local import LocalProvider
from halley.retention.service import RetentionService
from halley.settings import Settings


class InputParts(msgspec.Struct, frozen=True, kw_only=True):
    """Checks inputs when they arrive, and copies their files to this machine before a run."""

    fetch: Egress
    stager: InputFileStager
    check: InputCheck


def build_inputs(base: Foundation, large: JsonProcess) -> InputParts:
    """`large` reads and changes JSON that is too large for the loop's thread."""
    quirks, limits = base.settings.quirks, base.settings.limits
    fetch = _egress(base)
    stager = _stager(base, fetch, large)
    check = InputCheck(file_links=stager, strict=quirks.strict_inputs, most=limits.listed_faults, large=large)
    return InputParts(fetch=fetch, stager=stager, check=check)


def _egress(base: Foundation) -> Egress:
    egress = base.settings.egress
    return Egress(rules_from(egress.allow, http=egress.http), max_redirects=egress.max_redirects)


def build_own_inputs(base: Foundation, inputs: InputParts) -> OwnInputs:
    """Reads this server's own files in inputs, for services elsewhere."""
    return OwnInputs(inputs.stager.own, blobs=base.data.blobs, blob_references=base.data.blob_references)


def build_predictions(
    base: Foundation, inputs: InputParts, placement: Placement, submit_limits: SubmitLimits | None
) -> Predictions:
    """The use cases of predictions."""
    return Predictions(
        store=base.data.store,
        admission=Admission(
            catalog=base.catalog, placement=placement, inputs=inputs.check, submit_limits=submit_limits
        ),
        bus=base.signals.bus,
        data_ends=base.data.periods,
        clock=base.clock,
        new_id=base.new_id,
        running=base.running,
    )


def build_use_cases(
    base: Foundation, node: Node, predictions: Predictions, retention: RetentionService
) -> PredictionUseCases:
    """What clients do with predictions."""
    reruns = Reruns(predictions=predictions, store=base.data.store, catalog=base.catalog)
    return PredictionUseCases(
        predictions=predictions,
        overview=Overview(store=base.data.store, keeper=predictions, clock=base.clock),
        reruns=reruns,
        bulk=build_bulk(base, node, predictions, reruns, retention),
        attendance=build_attendance(base, node, predictions),
        key_usages=KeyUsages(base.data.store),
    )


def build_outcomes(base: Foundation, inputs: InputParts, upstreams: Upstreams) -> UnknownOutcomes:
    """The ways to settle predictions with an unknown outcome."""
    return UnknownOutcomes(
        store=base.data.store,
        catalog=base.catalog,
        retry_check=RetryCheck(inputs=inputs.check, submit_limits=upstreams.limits),
        services=upstreams,
        bus=base.signals.bus,
        clock=base.clock,
        new_id=base.new_id,
    )


def build_attendance(base: Foundation, node: Node, predictions: Predictions) -> AbandonmentTracker:
    """The counter of waiting clients."""
    return AbandonmentTracker(
        store=base.data.store,
        predictions=predictions,
        clock=base.clock,
        grace_seconds=base.settings.runs.abandoned_grace_seconds,
        node_id=base.new_id(),
        lease_seconds=base.settings.runs.lease_seconds,
        is_alone=not node.is_shared,
    )


def build_maintainer(base: Foundation, node: Node) -> Maintainer:
    """The maintainer; its session is that of the process."""
    runs = base.settings.runs
    has_worker = Role.WORKER in node.roles
    return Maintainer(
        queue=base.data.store,
        # versions that only the API of this process still accepts are not a reason to wait for a worker
        catalog=base.catalog if has_worker else Catalog(base.data.store),
        bus=base.signals.bus,
        clock=base.clock,
        session_id=base.new_id(),
        rules=MaintenanceRules(
            lease_seconds=runs.lease_seconds,
            max_attempts=runs.max_attempts,
            max_queue_seconds=runs.max_queue_seconds,
            unoffered_seconds=runs.unoffered_seconds,
        ),
        is_alone=not node.is_shared,  # the lock of the data folder
        begins_alone=node.is_alone,
    )


def build_worker(
    base: Foundation,
    inputs: InputParts,
    provider: LocalProvider,
    upstreams: Upstreams,
    large: JsonProcess,
    *,
    maintainer: Maintainer | None,
) -> Worker:
    """`maintainer` is that of the same process, if there is one: it receives the worker's reports."""
    session_id = base.new_id() if maintainer is None else maintainer.session_id
    reports = NoMaintainerHere() if maintainer is None else maintainer
    routed = upstreams.routed
    parts = _run_parts(base, inputs, large)
    worker = Worker(parts, providers=routed, reports=reports, session_id=session_id, new_id=base.new_id)
    if maintainer is not None:
        maintainer.keep_first(worker.renew_late)
    routed.listen(on_capacity=worker.on_capacity, on_broken=worker.broken)
    upstreams.imported.on_new = worker.reevaluate
    provider.listen(on_capacity=routed.on_local_capacity, on_broken=routed.on_local_broken)
    base.signals.bus.subscribe(worker.receive, WorkWaits, StopRequested)
    return worker


def _run_parts(base: Foundation, inputs: InputParts, large: JsonProcess) -> RunParts:
    egress = base.settings.egress
    # with turns of its own: files that a service sends slowly must not delay the inputs of others
    links = OutputLinks(fetch=_egress(base), limit_bytes=egress.max_bytes, deadline_seconds=egress.timeout_seconds)
    keeper = OutputFileStore(blob_references=base.data.blob_references, large=large, links=links)
    return RunParts(
        queue=base.data.store,
        bus=base.signals.bus,
        clock=base.clock,
        catalog=base.catalog,
        files=RunFiles(stager=inputs.stager, workspace=base.data.workspace, keeper=keeper),
        rules=_dispatch_rules(base.settings),
        inputs=inputs.check,
    )


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
