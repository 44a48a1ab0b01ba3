"""What all replicas of this process share: clock, environment, rules, and their background tasks."""

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
    neighbour_seconds: float = 60.0  # how long a process that must end waits for runs that can run again elsewhere
    setup_timeout_seconds: float = 600.0
    memory_check_seconds: float = 0.2
    health_check_seconds: float = 5.0  # how often an idle replica is pinged
    health_timeout_seconds: float = 10.0  # time for the answer
    idle_unload_seconds: float | None = None
    turn_seconds: float = 10.0  # how long a busy model keeps its memory while another waits for it
    look_seconds: float = 0.1  # how often memory is measured while a model loads or waits for memory
    stop_step_seconds: float = 1.0  # each of: finish what runs, SIGTERM; after SIGKILL there is no wait
    backoff_first_seconds: float = 1.0  # after a failed setup; doubles
    backoff_most_seconds: float = 30.0


class Boundaries(msgspec.Struct, frozen=True, kw_only=True):
    """The paths of this machine that a model must not use, and those that its inputs may use."""

    data: Path | None = None  # the server's data folder; only a replica's own folders in it are readable
    secrets: tuple[Path, ...] = ()  # further files that are never returned
    input_folders: tuple[Path, ...] = ()  # callers may name files in them


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The process that printed something."""

    model: str
    version: str
    pid: int


class ReplicaLogListener(Protocol):
    """Receives what replicas print outside of predictions. All calls come in the loop's thread."""

    def on_text(self, origin: Origin, text: str) -> None:
        """Printed text: parts of lines, or many of them."""
        ...

    def on_exit(self, origin: Origin) -> None:
        """The process has ended."""
        ...


class _NoLog:
    def on_text(self, origin: Origin, text: str) -> None:
        pass

    def on_exit(self, origin: Origin) -> None:
        pass


class Host:
    """Owns every timer and task of the replicas; `close` ends them."""

    def __init__(
        self,
        *,
        clock: Clock,
        environ: Mapping[str, str],
        rules: ReplicaRules | None = None,
        replica_log: ReplicaLogListener | None = None,
        places: Places | None = None,
        boundaries: Boundaries | None = None,
    ) -> None:
        self.clock: Final = clock
        self.environ: Final = environ
        self.rules: Final = rules or ReplicaRules()
        self.replica_log: Final = replica_log or _NoLog()
        self.places: Final = places  # None: models run in their own folders
        self._boundaries = boundaries or Boundaries()
        self._noticed: set[str] = set()  # versions whose use of old names was logged
        self._tasks: set[asyncio.Task[None]] = set()

    def runner_config(self, version: str) -> dict[str, object]:
        """Settings for the runner of a replica, besides its model. Old names are reported once for each version."""
        known, bounds = version in self._noticed, self._boundaries
        self._noticed.add(version)
        return {
            "data": None if bounds.data is None else str(bounds.data),
            "secrets": [str(path) for path in bounds.secrets],
            "input_folders": [str(path) for path in bounds.input_folders],
            "notices": not known,
        }

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it as a task; it ends at the latest with `close`, or when its owner cancels it."""
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
        """Cancel the remaining tasks, and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            loop = task.get_loop()
            loop.call_exception_handler({"message": "a replica's task broke", "exception": error, "task": task})
