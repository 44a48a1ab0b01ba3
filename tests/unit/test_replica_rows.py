"""What `GET /v1/replicas` says of a process: how far its setup is, and how often it ended by itself."""

from typing import Any

import pytest

from halley.app.replicas import log_lines, replica_rows
from halley.models.catalog import Catalog
from halley.replicas.host import Origin
from halley.replicas.replica_log import LogRules, ReplicaLogs
from halley.replicas.states import Doing, PoolState, ReplicaState
from halley.store.memory import MemoryStore
from halley.testing.clock import FakeClock


class Measured:
    """A provider with one process."""

    def __init__(self, doing: Doing, why: str | None) -> None:
        replica = ReplicaState(
            doing=doing, pid=7, memory_bytes=1, peak_bytes=1, device=None, slots=1, running=0, uptime_seconds=1, why=why
        )
        self._state = PoolState(version="v", model="a/b", doing=doing, replicas=(replica,), unexpected_exits=2)

    async def measured_states(self) -> list[PoolState]:
        return [self._state]


@pytest.mark.anyio
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


def test_the_last_lines_are_given_alone() -> None:
    clock = FakeClock()
    logs = ReplicaLogs(clock, LogRules(kept_lines=10, lines_per_minute=0))
    logs.on_text(Origin(model="a/b", version="v", pid=7), "".join(f"line {number}\n" for number in range(4)))
    assert [line.text for line in log_lines(logs, "a/b", 0)] == [f"line {number}" for number in range(4)]
    assert [line.number for line in log_lines(logs, "a/b", 0, 2)] == [3, 4]
    assert [line.number for line in log_lines(logs, "a/b", 3, 2)] == [4]
