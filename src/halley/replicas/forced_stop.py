"""Before a process is killed to end one run, gives its other runs time to finish.

Killing the process is the only way to end a run that ignores its cancel, and it ends all runs of the process. Runs that
produced output and cannot run again are waited for up to their own limits; the others, which can run again, for a
shorter time. The wait ends at once when the process makes no progress: the run that must end may block the others.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from halley.replicas.host import Host
from halley.replicas.replica_call import ReplicaCall


class OnOver(Protocol):
    """The callback at the end of the wait: True if the process must still end, False if the run has ended by itself."""

    def __call__(self, *, must_go: bool) -> None: ...


class ForcedStop:
    """The wait. `ask` requests a beat from the process, which its event loop sends while it runs."""

    def __init__(self, runs: Mapping[str, ReplicaCall], host: Host, *, ask: Callable[[], None], over: OnOver) -> None:
        self._runs = runs
        self._host = host
        self._ask = ask
        self._over = over
        self._began = self._beat_at = host.clock.monotonic()

    def beat(self) -> None:
        """Note that the event loop of the process is running."""
        self._beat_at = self._host.clock.monotonic()

    async def wait(self) -> None:
        """Return when the wait is over."""
        while self._is_worth_it():
            self._ask()
            await self._host.clock.sleep(self._host.rules.look_seconds)
        self._over(must_go=any(run.must_go for run in self._runs.values()))

    def _is_worth_it(self) -> bool:
        others = [run for run in self._runs.values() if not run.must_go]
        now, rules = self._host.clock.monotonic(), self._host.rules
        if not others or len(others) == len(self._runs) or now - self._beat_at >= rules.health_timeout_seconds:
            return False
        return now - self._began < rules.neighbour_seconds or any(run.has_output for run in others)
