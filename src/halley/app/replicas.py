"""What `GET /v1/replicas` shows of the model processes."""

from collections.abc import Iterator, Sequence

from halley.api import wire
from halley.providers.local import LocalProvider
from halley.replicas.pool import PoolState


async def replica_rows(provider: LocalProvider) -> Sequence[wire.Replica]:
    """A row for each process, and one for each model that has none."""
    return [row for state in await provider.measured_states() for row in _rows(state)]


def _rows(state: PoolState) -> Iterator[wire.Replica]:
    for replica in state.replicas:
        yield wire.Replica(
            model=state.model,
            version=state.version,
            state=replica.doing,
            reason=None,
            pinned=state.pinned,
            pid=replica.pid,
            memory_bytes=replica.memory_bytes,
            peak_memory_bytes=replica.peak_bytes,
            device=replica.device,
            slots=replica.slots,
            busy_slots=replica.running,
            uptime_seconds=round(replica.uptime_seconds, 3),
            last_exit_reason=state.exit_reason,
            last_exit=state.exit_text,
        )
    if not state.replicas:
        yield wire.Replica(
            model=state.model,
            version=state.version,
            state=state.doing,
            reason=state.why or state.error,
            pinned=state.pinned,
            pid=None,
            memory_bytes=0,
            peak_memory_bytes=0,
            device=None,
            slots=0,
            busy_slots=0,
            uptime_seconds=None,
            last_exit_reason=state.exit_reason,
            last_exit=state.exit_text,
        )
