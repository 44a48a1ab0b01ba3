"""What all replicas of this process share: time, the environment, their rules, and the tasks that belong to them."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from halley.clock import Clock
from halley.replicas.places import Places


class ReplicaRules(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that an operator may set, and some that only tests change."""

    cancel_grace_seconds: float = 5.0
    neighbour_seconds: float = 60.0  # how long a process that must end waits for those who can run again elsewhere
    setup_timeout_seconds: float = 600.0
    memory_check_seconds: float = 0.2
    health_check_seconds: float = 5.0  # how often an idle replica is asked whether it lives
    health_timeout_seconds: float = 10.0  # how long it may take to answer
    idle_unload_seconds: float | None = None
    turn_seconds: float = 10.0  # how long a busy model keeps its memory from one that waits for it
    look_seconds: float = 0.1  # how often memory is looked at while a model loads or waits for room
    stop_step_seconds: float = 1.0  # each of: finish what runs, SIGTERM; SIGKILL needs no patience
    backoff_first_seconds: float = 1.0  # after a failed setup; doubles
    backoff_most_seconds: float = 30.0


class Boundaries(msgspec.Struct, frozen=True, kw_only=True):
    """The paths of this machine that a model must not use, and those that its inputs may use."""

    data: Path | None = None  # the server's folder; only what is a replica's own in it is open
    secrets: tuple[Path, ...] = ()  # further files that are never given out
    input_folders: tuple[Path, ...] = ()  # files in them may be named by callers


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Which process printed something."""

    model: str
    version: str
    pid: int


class OwnLog(Protocol):
    """Who reads what replicas print outside of any prediction. All calls come in the loop's thread."""

    def hear(self, origin: Origin, text: str) -> None:
        """Text as it was printed: parts of lines, or many of them."""
        ...

    def ended(self, origin: Origin) -> None:
        """The process is gone."""
        ...


class _NobodyReads:
    def hear(self, origin: Origin, text: str) -> None:
        pass

    def ended(self, origin: Origin) -> None:
        pass


class Host:
    """Owns every timer and task of the replicas; `close` ends them."""

    def __init__(
        self,
        *,
        clock: Clock,
        environ: Mapping[str, str],
        rules: ReplicaRules | None = None,
        own_log: OwnLog | None = None,
        places: Places | None = None,
        boundaries: Boundaries | None = None,
    ) -> None:
        self.clock: Final = clock
        self.environ: Final = environ
        self.rules: Final = rules or ReplicaRules()
        self.own_log: Final = own_log or _NobodyReads()
        self.places: Final = places  # None: models run in their own folders
        self._boundaries = boundaries or Boundaries()
        self._noticed: set[str] = set()  # versions whose old spellings were logged
        self._tasks: set[asyncio.Task[None]] = set()

    def runner_config(self, version: str) -> dict[str, object]:
        """What the runner of a replica needs besides its model. Old spellings are reported once for each version."""
        known, bounds = version in self._noticed, self._boundaries
        self._noticed.add(version)
        return {
            "data": None if bounds.data is None else str(bounds.data),
            "secrets": [str(path) for path in bounds.secrets],
            "input_folders": [str(path) for path in bounds.input_folders],
            "notices": not known,
        }

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it beside; it ends at the latest with `close`, or when its owner cancels it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def later(self, seconds: float, then: Callable[[], None]) -> asyncio.Task[None]:
        """Call `then` after so many seconds of the clock, unless the task is cancelled before."""

        async def wait() -> None:
            await self.clock.sleep(seconds)
            then()

        return self.start(wait())

    async def close(self) -> None:
        """End what is left, and wait until it has."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            loop = task.get_loop()
            loop.call_exception_handler({"message": "a replica's task broke", "exception": error, "task": task})
