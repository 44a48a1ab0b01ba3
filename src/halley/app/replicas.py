"""The content of `GET /v1/replicas`: model processes, models without one, and their printed lines."""

from collections.abc import Iterator, Sequence
from typing import Literal

from anyio import to_thread

from halley.api.presentation.wire.replicas import LogLine, ReplicaBody
from halley.clock import rfc3339
from halley.models.catalog import Catalog
from halley.models.ports import ModelStore
from halley.predictions.tqdm_parser import last_step
from halley.providers.local import LocalProvider
from halley.replicas.places import Places
from halley.replicas.replica_log import ReplicaLogs
from halley.replicas.states import Doing, PoolState


async def replica_rows(provider: LocalProvider, catalog: Catalog) -> Sequence[ReplicaBody]:
    """A row for each process, and one for each model without a process; by name of the model."""
    states = await provider.measured_states()
    rows = [row for state in states for row in _rows(state, catalog.faults.get(state.model))]
    rows += [_without_process(model, state="broken", reason=reason) for model, reason in catalog.broken.items()]
    return sorted(rows, key=lambda row: row.model)


def log_lines(logs: ReplicaLogs, model: str, after: int, last: int | None = None) -> Sequence[LogLine]:
    """The lines that processes of the model printed outside of predictions, the oldest first; `last`: not more."""
    return [
        LogLine(number=line.number, ended_at=rfc3339(line.at), version=line.version, pid=line.pid, text=line.text)
        for line in list(logs.lines(model, after))[-(last or 0) :]
    ]


async def clear_setup(places: Places, provider: LocalProvider, store: ModelStore, model: str) -> int | None:
    """Delete what setups of all versions of the model left. Returns the size in bytes; None if there was nothing."""
    cleared = [
        await to_thread.run_sync(lambda vid=version.id: places.layers.clear(vid, in_use=provider.is_loaded(vid)))  # type: ignore[misc]
        for version in await store.list_versions(model)
    ]
    sizes = [size for size in cleared if size is not None]
    return sum(sizes) if sizes else None


def _rows(state: PoolState, fault: str | None) -> Iterator[ReplicaBody]:
    warning = None if fault is None else f"its files were changed and cannot be reloaded: {fault}"
    for replica in state.replicas:
        yield ReplicaBody(
            model=state.model,
            version=state.version,
            state=replica.doing,
            reason=warning or replica.why,
            pinned=state.pinned,
            pid=replica.pid,
            memory_bytes=replica.memory_bytes,
            peak_memory_bytes=replica.peak_bytes,
            device=replica.device,
            slots=replica.slots,
            busy_slots=replica.running,
            uptime_seconds=round(replica.uptime_seconds, 3),
            load_progress=_progress(replica.why) if replica.doing == "loading" else None,
            isolation=None if replica.way is None else replica.way.way,
            isolation_reason=(replica.way.why or None) if replica.way is not None else None,
            last_exit_reason=state.exit_reason,
            last_exit=state.exit_text,
            unexpected_exits=state.unexpected_exits,
        )
    if not state.replicas:
        yield _without_process(
            state.model,
            state=state.doing,
            version=state.version,
            reason=state.why or state.error or warning,
            pinned=state.pinned,
            last_exit_reason=state.exit_reason,
            last_exit=state.exit_text,
            unexpected_exits=state.unexpected_exits,
        )


def _progress(line: str | None) -> float | None:
    """How far a progress bar in the last printed line is; None if it has none."""
    step = last_step(line) if line else None
    return None if step is None else step.fraction


def _without_process(
    model: str,
    *,
    state: Doing | Literal["broken"],
    reason: str | None,
    version: str = "",
    pinned: bool = False,
    last_exit_reason: str | None = None,
    last_exit: str | None = None,
    unexpected_exits: int = 0,
) -> ReplicaBody:
    return ReplicaBody(
        model=model,
        version=version,
        state=state,
        reason=reason,
        pinned=pinned,
        pid=None,
        memory_bytes=0,
        peak_memory_bytes=0,
        device=None,
        slots=0,
        busy_slots=0,
        uptime_seconds=None,
        load_progress=None,
        isolation=None,
        isolation_reason=None,
        last_exit_reason=last_exit_reason,
        last_exit=last_exit,
        unexpected_exits=unexpected_exits,
    )
