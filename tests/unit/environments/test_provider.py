"""A version whose environment is gone waits for it, is seen to, and fails with the reason if it cannot come back."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from halley.providers.local import LocalProvider
from halley.replicas.environments.environments import EnvironmentBuilder
from halley.replicas.environments.plan import EnvironmentRules
from halley.replicas.loading import load_source
from halley.testing.clock import FakeClock
from halley.testing.providers import within
from unit.environments.packages import model, wheel
from unit.replicas.processes import until

pytestmark = pytest.mark.anyio

V = "a version"
GATED = """
import os, shutil
def build_wheel(to, config_settings=None, metadata_directory=None):
    print("compiling the world", flush=True)
    open({gate!r}).read()
    raise SystemExit("no compiler")
"""


class Told:
    """What the provider says of its versions."""

    def __init__(self, provider: LocalProvider) -> None:
        self.rooms: asyncio.Queue[str] = asyncio.Queue()
        self.broken: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        provider.listen(on_capacity=self.rooms.put_nowait, on_broken=lambda *said: self.broken.put_nowait(said))


async def opened(gate: Path) -> int:
    """The end of a pipe to write to, once the build is so far that it reads from it: pip takes its time."""
    async with asyncio.timeout(50):
        while True:
            try:
                return os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
            await asyncio.sleep(0.02)


@pytest.fixture
async def environments(tmp_path: Path) -> AsyncIterator[EnvironmentBuilder]:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_VERBOSE": "1"}
    made = EnvironmentBuilder(tmp_path / "envs", rules=EnvironmentRules(tool="pip"), clock=FakeClock(), environ=environ)
    yield made
    await made.close()


async def test_capacity_is_reported_when_the_environment_is_ready(tmp_path, environments) -> None:
    wheel(tmp_path / "wheels", "greeter", "1.0", "WORD = 'Hello'\n")
    source = environments.resolve(load_source(model(tmp_path / "m", "greeter", wheels=tmp_path / "wheels")))
    async with LocalProvider(clock=FakeClock(), environ={"PATH": "/usr/bin"}, environments=environments) as provider:
        told = Told(provider)
        provider.add(V, source)
        provider.request_capacity(V)
        provider.request_capacity(V)
        assert provider.states()[0].doing == "building"
        assert await within(told.rooms.get()) == V
        assert (provider.states()[0].doing, provider.free_slots(V)) == ("ready", 1)


async def test_a_failed_build_breaks_the_version_with_pips_last_lines(tmp_path, environments) -> None:
    project, gate = tmp_path / "project", tmp_path / "gate"
    project.mkdir()
    os.mkfifo(gate)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "gated"\nbackend-path = ["."]\n'
    )
    (project / "gated.py").write_text(GATED.format(gate=str(gate)))
    source = environments.resolve(load_source(model(tmp_path / "m", str(project), wheels=tmp_path)))
    async with LocalProvider(clock=FakeClock(), environ={"PATH": "/usr/bin"}, environments=environments) as provider:
        told = Told(provider)
        provider.add(V, source)
        provider.preload(V)
        writer = await opened(gate)
        # pip passes on what a build prints in its own time
        await until(lambda: provider.states()[0].why == "its environment is being built: compiling the world")
        assert provider.states()[0].doing == "building"
        os.close(writer)
        version, error, reason = await within(told.broken.get())
        assert (version, reason) == (V, "environment_failed")
        assert "no compiler" in error
        assert provider.states()[0].doing == "unloaded"
