"""The replicas of one version: loaded when wanted, given out slot by slot, loaded again when they die.

One replica for now; everything outside speaks of slots, so that more can come.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from halley.dispatch.ports import Work
from halley.errors import Overloaded
from halley.replicas.endings import End
from halley.replicas.host import Host
from halley.replicas.loading import ModelSource
from halley.replicas.replica import Replica, State
from halley.replicas.run import Run

_log = logging.getLogger(__name__)

OnRoom = Callable[[str], None]
"""Gets the version."""
OnBroken = Callable[[str, str, str], None]
"""Gets the version, an error text for people, and a reason word."""


class PoolState(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool is doing. `error` is why the last replica failed, until one works again."""

    version: str
    model: str
    doing: Literal["unloaded", "loading", "ready", "waiting_to_retry"]
    pid: int | None = None
    slots: int = 0
    running: int = 0
    peak_bytes: int = 0
    setup_logs: str = ""
    error: str | None = None


class Pool:
    """Fulfils `replica.Keeper`. `on_room` is called once after each `want` that had to wait; never from inside it."""

    def __init__(self, version: str, source: ModelSource, host: Host, *, on_room: OnRoom, on_broken: OnBroken) -> None:
        self.version: Final = version
        self.source: Final = source
        self._host = host
        self._on_room = on_room
        self._on_broken = on_broken
        self._replica: Replica | None = None
        self._held = 0
        self._wanted = False
        self._closed = False
        self._failures = 0  # in a row
        self._retry_at = 0.0
        self._retry: asyncio.Task[None] | None = None
        self._last_end: End | None = None

    @property
    def free_slots(self) -> int:
        """Slots that nobody runs in or holds."""
        return max(0, self._replica.free - self._held) if self._replica is not None else 0

    def want(self) -> None:
        """Make room, and call `on_room` when there is some, or `on_broken` when there will be none."""
        if self._closed:
            return
        self._wanted = True
        if self.free_slots:
            asyncio.get_running_loop().call_soon(self._tell_room)
        else:
            self.load()

    def load(self) -> None:
        """Start a replica if there is none: at once, or after the pause that earlier failures ask for."""
        if self._replica is not None or self._closed or self._retry is not None:
            return
        pause = self._retry_at - self._host.clock.monotonic()
        if pause > 0:
            self._retry = self._host.later(pause, self._try_again)
            return
        try:
            self._replica = Replica(self.version, self.source, self, self._host)
        except OSError as error:
            text = f"{self.source.name}: its process cannot be started: {error}."
            end = End(reason="setup_failed", error=text)
            # not from inside `want`: who asks is not ready to hear
            asyncio.get_running_loop().call_soon(self._setup_failed, end)

    def take(self) -> bool:
        """Hold a slot."""
        if self.free_slots:
            self._held += 1
            return True
        return False

    def drop(self) -> None:
        """A held slot is free again."""
        self._held = max(0, self._held - 1)
        if self._wanted and self.free_slots:
            asyncio.get_running_loop().call_soon(self._tell_room)

    def begin(self, work: Work) -> Run:
        """Run in a held slot. The slot stays held if this raises.

        Raises:
            HalleyError: nothing was begun.
        """
        if self._replica is None:
            raise Overloaded(f"The process of {self.source.name} ended before the prediction began; it can run again.")
        run = self._replica.begin(work)
        self._held = max(0, self._held - 1)
        return run

    def cancel(self, run: Run) -> None:
        """Ask the run to stop, then force it. Harmless if it is over."""
        if self._replica is not None:
            self._replica.cancel(run)

    async def close(self) -> None:
        """Stop the replica; nothing is loaded any more."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        if self._replica is not None:
            await self._replica.stop()

    def state(self) -> PoolState:
        """For people who look."""
        replica = self._replica
        error = self._last_end.error if self._last_end is not None else None
        if replica is None:
            doing: Literal["unloaded", "waiting_to_retry"] = "waiting_to_retry" if self._retry else "unloaded"
            return PoolState(version=self.version, model=self.source.name, doing=doing, error=error)
        return PoolState(
            version=self.version,
            model=self.source.name,
            doing="loading" if replica.state is State.STARTING else "ready",
            pid=replica.pid,
            slots=replica.slots,
            running=len(replica.runs),
            peak_bytes=replica.peak_bytes,
            setup_logs=replica.tail,
            error=error,
        )

    # what the replica tells (replica.Keeper)

    def replica_ready(self) -> None:
        self._last_end = None
        self._tell_room()

    def slot_freed(self) -> None:
        self._failures = 0
        if self._wanted:
            self._tell_room()

    def replica_gone(self, end: End, *, was: State, ran: bool) -> None:
        self._replica = None
        if self._closed:
            return
        if was is State.STARTING:
            self._setup_failed(end)
            return
        self._last_end = end
        if not ran:  # a process that dies of itself again and again must not be started as often
            self._back_off()
        if self._wanted:
            self.load()

    # what follows from it

    def _setup_failed(self, end: End) -> None:
        self._last_end = end
        self._wanted = False  # what waits now fails now
        self._back_off()
        self._on_broken(self.version, end.error, end.reason)

    def _back_off(self) -> None:
        rules = self._host.rules
        pause = min(rules.backoff_most_seconds, rules.backoff_first_seconds * 2 ** min(self._failures, 16))
        self._failures += 1
        self._retry_at = self._host.clock.monotonic() + pause

    def _try_again(self) -> None:
        self._retry = None
        self._retry_at = 0.0
        self.load()

    def _tell_room(self) -> None:
        if self._wanted and self.free_slots:
            self._wanted = False
            self._on_room(self.version)
