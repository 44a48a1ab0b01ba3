"""What `GET /v1/replicas` says of a process: how far its setup is, and how often it ended by itself."""

from typing import Any

import pytest

from halley.app.replicas import replica_rows
from halley.models.catalog import Catalog
from halley.replicas.states import Doing, PoolState, ReplicaState
from halley.store.memory import MemoryStore

pytestmark = pytest.mark.anyio


class Measured:
    """A provider with one process."""

    def __init__(self, doing: Doing, why: str | None) -> None:
        replica = ReplicaState(
            doing=doing, pid=7, memory_bytes=1, peak_bytes=1, device=None, slots=1, running=0, uptime_seconds=1, why=why
        )
        self._state = PoolState(version="v", model="a/b", doing=doing, replicas=(replica,), unexpected_exits=2)

    async def measured_states(self) -> list[PoolState]:
        return [self._state]


@pytest.mark.parametrize(
    ("doing", "line", "progress"),
    [
        ("loading", "weights:  40%|####      | 4/10 [00:01<00:02, 3.0it/s]", 0.4),
        ("loading", "reading the weights", None),
        ("loading", None, None),
        ("ready", None, None),
    ],
)
async def test_a_bar_that_setup_prints_is_its_progress(doing: Doing, line: str | None, progress: float | None) -> None:
    provider: Any = Measured(doing, line)
    (row,) = await replica_rows(provider, Catalog(MemoryStore()))
    assert (row.load_progress, row.unexpected_exits) == (progress, 2)
