"""What tests of processes share: a provider that listens to itself, and looks at the process table."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from halley.clock import Clock
from halley.providers.local import LocalProvider
from halley.replicas.host import Origin
from halley.testing.clock import FakeClock
from halley.testing.providers import Probe, within

V = "a version"


class Printed:
    """What the replica printed outside of predictions."""

    def __init__(self) -> None:
        self.text = ""
        self.is_there = asyncio.Event()

    def on_text(self, _origin: Origin, text: str) -> None:
        self.text += text
        self.is_there.set()

    def on_exit(self, origin: Origin) -> None:
        pass


class Served(Probe):
    """The provider of one model, and its clock."""

    provider: LocalProvider

    def __init__(self, provider: LocalProvider, clock: Clock, printed: Printed) -> None:
        super().__init__(provider)
        self.clock = clock
        self.printed = printed

    @property
    def pid(self) -> int:
        return self.provider.states()[0].pid or 0

    def advance(self, seconds: float) -> None:
        assert isinstance(self.clock, FakeClock)
        self.clock.advance(seconds)


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def until(condition: Callable[[], bool]) -> None:
    """For what only the kernel knows, and tells nobody."""

    async def look() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    await within(look())
