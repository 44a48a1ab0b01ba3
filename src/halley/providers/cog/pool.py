"""The servers of one provider: which of them are healthy, and which one gets the next run."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from halley.clock import Clock
from halley.dispatch.upstreams import Answered
from halley.providers.cog.server import CogServer

FRESH_SECONDS: Final = 10.0  # an older health is asked for again before it is used
FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 5.0
REFUSED_SECONDS: Final = 0.05  # a server that was full a moment ago is the last choice


class ServerPool:
    """Asks for the health of the servers, only while runs wait for them or are being sent."""

    def __init__(
        self,
        servers: Sequence[CogServer],
        *,
        clock: Clock,
        answered: Answered,
        is_wanted: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self.servers: Final = servers
        self._clock = clock
        self._answered = answered
        self._is_wanted = is_wanted
        self._on_change = on_change
        self._loop: asyncio.Task[None] | None = None

    @property
    def slots(self) -> int:
        """How many runs the healthy servers can have at once."""
        return sum(server.slots for server in self.servers if server.health.serves)

    @property
    def why(self) -> str:
        """Why no server runs anything; "" if one does."""
        if self.slots:
            return ""
        reasons = {server.journal.for_callers(server.health.why) for server in self.servers}
        return " ".join(sorted(reasons))

    def named(self, label: str) -> CogServer | None:
        """The server of a handle."""
        return next((server for server in self.servers if server.label == label), None)

    def best(self) -> CogServer | None:
        """The least loaded healthy server with a free slot; None if there is none."""
        free = [server for server in self.servers if server.health.serves and server.running < server.slots]
        return min(free, key=self._load, default=None)

    def ensure(self) -> None:
        """Capacity is wanted: ask the servers whose health is old or bad."""
        if (self._loop is None or self._loop.done()) and self._due():
            self._loop = asyncio.ensure_future(self._checking())

    def doubt(self) -> None:
        """All servers are full, or say so. One whose model has crashed always says so: ask for its health."""
        for server in self.servers:
            server.checked_at = None
        self.ensure()

    async def refresh(self) -> None:
        """Ask the servers whose health is old or bad, and wait for their answers."""
        await asyncio.gather(*(server.check() for server in self._due()))
        self._on_change()

    async def close(self) -> None:
        """Send no more requests."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        for server in self.servers:
            await server.origin.close()

    def _load(self, server: CogServer) -> tuple[bool, float, int]:
        refused = server.refused_at
        is_full = refused is not None and self._clock.monotonic() - refused < REFUSED_SECONDS
        return is_full, server.running / server.slots, self.servers.index(server)

    def _due(self) -> list[CogServer]:
        return [server for server in self.servers if self._is_due(server)]

    def _is_due(self, server: CogServer) -> bool:
        if server.checked_at is None or not server.health.serves:
            return True
        # a server of Cog 0.9 answers nothing while it runs something
        return not server.running and self._clock.monotonic() - server.checked_at >= FRESH_SECONDS

    async def _checking(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while due := self._due():
            await asyncio.gather(*(server.check() for server in due))
            if any(server.health.word for server in due):
                self._answered(True)
            elif not self.slots:
                self._answered(False)
            self._on_change()
            if not self._is_wanted():
                return
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
