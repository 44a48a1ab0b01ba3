"""Builds the parts that run models on this machine: environments, places, processes, and the loader."""

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import msgspec
from anyio import to_thread

from halley.api.dependencies import LocalModels, UpstreamViews
from halley.app.foundation import Foundation
from halley.app.models import ModelLoader, SourceTools
from halley.app.replicas import clear_setup, log_lines, replica_rows
from halley.app.roles import Node
from halley.dispatch.worker import Worker
from halley.predictions.queue import MOST_BEFORE, WorkQueue
from halley.predictions.records import Prediction
from halley.providers.local import LocalProvider, MemoryRules
from halley.replicas.digest import DigestCache
from halley.replicas.environments.environments import EnvironmentBuilder, open_environments
from halley.replicas.host import Boundaries, ReplicaRules
from halley.replicas.machine import free_bytes, total_bytes
from halley.replicas.places import Places, choose_isolation
from halley.replicas.replica_log import LogRules, ReplicaLogs
from halley.replicas.setup_layers import SetupLayers
from halley.settings import Settings

_log = logging.getLogger(__name__)

MEMORY_SHARE: Final = 0.9  # of the machine's memory, for all models, if no budget is set
MEMORY_SHORT_SHARE: Final = 0.25  # if more than this is free, memory is not measured


class LocalRuntime(msgspec.Struct, frozen=True, kw_only=True):
    """The model processes of this machine, and their environments and places."""

    provider: LocalProvider
    environments: EnvironmentBuilder
    places: Places
    replica_logs: ReplicaLogs


async def open_local_runtime(stack: AsyncExitStack, base: Foundation, node: Node) -> LocalRuntime:
    """Build the parts; nothing is started yet. When the stack closes, all started processes have ended."""
    settings = base.settings
    places = await _open_places(base, node)
    environments = open_environments(settings, clock=base.clock, environ=base.environ)
    stack.push_async_callback(environments.close)
    await environments.sweep()
    limits = settings.limits
    replica_logs = ReplicaLogs(
        base.clock, LogRules(kept_lines=limits.own_log_lines, lines_per_minute=limits.own_log_lines_per_minute)
    )
    provider = await stack.enter_async_context(
        LocalProvider(
            clock=base.clock,
            environ=base.environ,
            replica_log=replica_logs,
            rules=_replica_rules(settings),
            memory=_memory_rules(settings),
            environments=environments,
            places=places,
            boundaries=_boundaries(settings),
        )
    )
    return LocalRuntime(provider=provider, environments=environments, places=places, replica_logs=replica_logs)


def make_loader(
    base: Foundation, runtime: LocalRuntime, worker: Worker, on_broken: Callable[[str, str, str], None]
) -> ModelLoader:
    """The loader of the configured models into the catalog; `on_broken` gets versions that will not come."""
    return ModelLoader(
        catalog=base.catalog,
        store=base.data.store,
        provider=runtime.provider,
        clock=base.clock,
        tools=SourceTools(
            environ=base.environ,
            digests=DigestCache(base.settings.data / "digests.json"),
            environments=runtime.environments,
            places=runtime.places,
        ),
        on_ready=worker.reevaluate,
        on_broken=on_broken,
    )


def local_models(
    base: Foundation, runtime: LocalRuntime, upstreams: UpstreamViews, why_waiting: Callable[[str], str | None]
) -> LocalModels:
    """The API's view of the model processes; `why_waiting` is asked first why a version has not started."""
    provider = runtime.provider
    return LocalModels(
        replicas=lambda: replica_rows(provider, base.catalog),
        memory_budget_bytes=_memory_rules(base.settings).budget_bytes,
        replica_log=lambda model, after, last: log_lines(runtime.replica_logs, model, after, last),
        clear_setup=lambda model: clear_setup(runtime.places, provider, base.data.store, model),
        why_starting=lambda row: _why_waiting(row, why_waiting, base.data.store) or provider.why_starting(row.version),
        upstreams=upstreams,
    )


def _why_waiting(row: Prediction, why_waiting: Callable[[str], str | None], queue: WorkQueue) -> str | None:
    """Why the services elsewhere do not take it, and its place."""
    if (why := why_waiting(row.version)) is None or not (before := queue.waiting_before(row)):
        return why
    count = f"{before} or more" if before == MOST_BEFORE else str(before)
    return f"{why}; predictions of the same account before it: {count}"


async def _open_places(base: Foundation, node: Node) -> Places:
    settings, scratch = base.settings, base.data.scratch
    isolation = settings.isolation
    layers = SetupLayers(
        isolation.folder or settings.data / "setup", limit_bytes=isolation.setup_bytes, is_shared=node.is_shared
    )
    if node.is_alone:
        await to_thread.run_sync(layers.sweep, base.clock.now())
    keep = [settings.data, layers.folder, settings.environments.folder or settings.data / "envs"]
    keep += settings.inputs.allow_folders
    return Places(scratch, environ=base.environ, share=isolation.share, keep=keep, layers=layers)


async def find_isolation(base: Foundation, runtime: LocalRuntime) -> None:
    """Test how model processes can be kept apart, before the first is started. It takes a process of its own."""
    found = runtime.places.found = await to_thread.run_sync(
        choose_isolation, base.settings.isolation, base.data.scratch
    )
    _log.info("model processes are kept apart: %s", found.words())


def _replica_rules(settings: Settings) -> ReplicaRules:
    runs, memory = settings.runs, settings.memory
    return ReplicaRules(
        cancel_grace_seconds=runs.cancel_grace_seconds,
        setup_timeout_seconds=runs.setup_timeout_seconds,
        health_check_seconds=runs.health_check_seconds,
        health_timeout_seconds=runs.health_timeout_seconds,
        idle_unload_seconds=memory.idle_unload_seconds,
        turn_seconds=memory.turn_seconds,
    )


def _boundaries(settings: Settings) -> Boundaries:
    token_files = [provider.token_file for provider in settings.providers.values()]
    return Boundaries(
        data=settings.data,
        secrets=tuple(path for path in (settings.tls.key, *token_files) if path is not None),
        input_folders=settings.inputs.allow_folders,
    )


def _memory_rules(settings: Settings) -> MemoryRules:
    """The memory limit of all models together: as configured, or a share of the machine's."""
    if settings.memory.budget_bytes is not None:
        return MemoryRules(budget_bytes=settings.memory.budget_bytes)
    total = total_bytes()
    if not total:
        return MemoryRules()
    return MemoryRules(
        budget_bytes=int(total * MEMORY_SHARE),
        is_short=lambda: free_bytes() < total * MEMORY_SHORT_SHARE,
    )
