"""Small models on the disk, and a local provider that serves one of them."""

import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.clock import Clock
from halley.providers.local import LocalProvider
from halley.replicas.host import ReplicaRules
from halley.replicas.loading import ModelSource, load_source
from halley.settings import process_environ
from halley.testing.clock import FakeClock
from unit.replicas.processes import Printed, Served, V


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., ModelSource]:
    """Write `run.py` (and other files) and read the folder; keywords change the source."""

    def write(code: str, files: dict[str, str] | None = None, **changes: Any) -> ModelSource:
        folder = tmp_path / "model"
        folder.mkdir()
        for name, text in {"run.py": code, **(files or {})}.items():
            (folder / name).write_text(textwrap.dedent(text))
        return msgspec.structs.replace(load_source(folder), **changes)

    return write


@pytest.fixture
def serve() -> Callable[..., AbstractAsyncContextManager[Served]]:
    @asynccontextmanager
    async def opened(
        source: ModelSource,
        *,
        clock: Clock | None = None,
        environ: dict[str, str] | None = None,
        **rules: float,
    ) -> AsyncIterator[Served]:
        clock = clock or FakeClock()
        printed = Printed()
        provider = LocalProvider(
            clock=clock,
            environ=dict(process_environ()) | (environ or {}),
            rules=ReplicaRules(**{"stop_step_seconds": 0.2} | rules),
            replica_log=printed,
        )
        async with provider:
            provider.add(V, source)
            yield Served(provider, clock, printed)

    return opened
