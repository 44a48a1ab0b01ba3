"""The parts that all others need: data, secrets, clock, and hints between parts."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from halley.api.waiting.change_poller import ChangePoller
from halley.app.node_folder import node_folder
from halley.app.roles import Node
from halley.assets.blob_references import BlobReferences
from halley.assets.links import LinkSigner
from halley.blobs.files import FileBlobs
from halley.bus.local import LocalBus
from halley.clock import Clock
from halley.ids import TimeOrderedIds
from halley.models.catalog import Catalog
from halley.offload.process import JsonProcess
from halley.predictions.hints import Bus
from halley.predictions.progress_cache import ProgressCache
from halley.predictions.queue import QueueLimits
from halley.predictions.reading import PredictionReader
from halley.replicas.workspace import RunFolders, scratch_folder
from halley.retention.periods import Periods
from halley.retry import HousekeepingFaults
from halley.settings import Settings
from halley.store.ports import OpenStore, Store
from halley.store.secrets import Secrets, load_secrets

DATABASE_NAME: Final = "halley.db"


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The stored data, and its retention rules."""

    store: Store
    secrets: Secrets
    blobs: FileBlobs
    blob_references: BlobReferences
    links: LinkSigner
    periods: Periods
    workspace: RunFolders
    scratch: Path  # of model processes: removed at the end


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """The signals of changes to waiting readers."""

    bus: Bus
    change_poller: ChangePoller
    housekeeping_faults: HousekeepingFaults


class Foundation(msgspec.Struct, frozen=True, kw_only=True):
    """The base of every other part. `environ` is the environment of model processes."""

    settings: Settings
    environ: Mapping[str, str]
    clock: Clock
    new_id: TimeOrderedIds
    data: Data
    signals: Signals
    catalog: Catalog
    running: ProgressCache

    def reader(self) -> PredictionReader:
        """Reads predictions without expired data."""
        return PredictionReader(
            store=self.data.store, data_ends=self.data.periods, clock=self.clock, running=self.running
        )


async def open_foundation(
    stack: AsyncExitStack,
    settings: Settings,
    environ: Mapping[str, str],
    open_store: OpenStore,
    *,
    clock: Clock,
    node: Node,
) -> Foundation:
    """Open the data; the stack closes it.

    Raises:
        Unusable: the data cannot be used as it is.
    """
    new_id = TimeOrderedIds(clock)
    own = stack.enter_context(node_folder(settings.data, new_id())) if node.is_shared else settings.data
    data = await _open_data(stack, settings, _opener(open_store, node), clock=clock, node=node, own=own)
    new_id.follow(await data.store.newest_id())
    signals = Signals(
        bus=LocalBus(),
        change_poller=ChangePoller(log=data.store, clock=clock),
        housekeeping_faults=HousekeepingFaults(),
    )
    await signals.change_poller.open()
    return Foundation(
        settings=settings,
        environ={**environ, "TMPDIR": str(data.scratch)},  # models that are killed leave their temporary files here
        clock=clock,
        new_id=new_id,
        data=data,
        signals=signals,
        catalog=Catalog(data.store),
        running=ProgressCache(clock),
    )


async def open_json_process(stack: AsyncExitStack, base: Foundation) -> JsonProcess:
    """The process that reads and changes JSON that is too large for the loop's thread."""
    return await stack.enter_async_context(JsonProcess(base.environ, base.settings.limits.inline_data_bytes))


def _opener(open_store: OpenStore, node: Node) -> OpenStore:
    return partial(open_store, is_shared=True) if node.is_shared else open_store


async def _open_data(
    stack: AsyncExitStack, settings: Settings, open_store: OpenStore, *, clock: Clock, node: Node, own: Path
) -> Data:
    """`own` is a folder that no other process uses."""
    database = settings.data / DATABASE_NAME
    secrets = load_secrets(settings.data, is_new=not database.exists())
    limits = settings.limits
    queue_limits = QueueLimits(per_account=limits.queued_per_account, total=limits.queued_total)
    store = await stack.enter_async_context(
        open_store(database, clock=clock, limits=queue_limits, keep_backups=settings.upgrades.kept)
    )
    blobs = FileBlobs(settings.data / "blobs")
    blobs.prepare(is_alone=node.is_alone)
    workspace = RunFolders(own / "runs")
    workspace.sweep()
    scratch = stack.enter_context(scratch_folder(own / "scratch"))
    periods = Periods(settings=settings.retention, model_settings=settings.models, keys=store, models=store)
    await periods.refresh()
    return Data(
        store=store,
        secrets=secrets,
        blobs=blobs,
        blob_references=BlobReferences(blobs=blobs, ledger=store, alone=blobs.alone if node.is_shared else None),
        links=LinkSigner(secrets.link_key, clock, limits.link_seconds),
        periods=periods,
        workspace=workspace,
        scratch=scratch,
    )
