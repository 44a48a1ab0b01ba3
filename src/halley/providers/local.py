"""Runs predictions in model processes on this machine. Implements `dispatch.ports.Provider`."""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

import msgspec

from halley.clock import Clock
from halley.dispatch.ports import BegunRun, Emit, Outcome, RunListener, Work
from halley.errors import HalleyError, Overloaded
from halley.replicas.devices import Devices, FindDevices, nvidia_smi
from halley.replicas.environments.environments import EnvironmentBuilder
from halley.replicas.host import Boundaries, Host, ReplicaLogListener, ReplicaRules
from halley.replicas.loading import ModelSource
from halley.replicas.memory import used_of
from halley.replicas.memory_scheduler import Measure, MemoryScheduler
from halley.replicas.places import Places
from halley.replicas.pool import OnBroken, OnCapacity, Pool
from halley.replicas.replica_call import CallFollower, ReplicaCall
from halley.replicas.states import PoolState

LOOK_AROUND_SECONDS: Final = 1.0

_LOST: Final = Outcome(
    status="failed",
    error="The process that ran this prediction is gone with the server that started it.",
    reason="worker_lost",
)


class MemoryRules(msgspec.Struct, frozen=True, kw_only=True):
    """The memory limit of all replicas together (none if `budget_bytes` is None), and how it is measured: for
    `is_short` see `MemoryScheduler`; `measure` and `find_devices` default to this machine's.
    """

    budget_bytes: int | None = None
    is_short: Callable[[], bool] | None = None
    measure: Measure = used_of
    find_devices: FindDevices | None = None


class LocalProvider:
    """Pools of replicas by version. An async context manager; on exit every process that it started has ended.

    Use it in one loop, in the main thread (the kernel ends a replica when the thread that started it ends). If `submit`
    raises, the slot is still held.
    """

    is_local: Final = True
    wants_local_files: Final = True

    def __init__(
        self,
        *,
        clock: Clock,
        environ: Mapping[str, str],
        rules: ReplicaRules | None = None,
        replica_log: ReplicaLogListener | None = None,
        memory: MemoryRules | None = None,
        environments: EnvironmentBuilder | None = None,
        places: Places | None = None,
        boundaries: Boundaries | None = None,
    ) -> None:
        """`environ` is the server's; only an allow-list of it is passed on.

        `memory` is for all replicas together; without it nothing limits them.
        """
        self._host = Host(
            clock=clock, environ=environ, rules=rules, replica_log=replica_log, places=places, boundaries=boundaries
        )
        memory = memory or MemoryRules()
        devices = Devices(memory.find_devices or nvidia_smi(environ))
        self._scheduler = MemoryScheduler(
            self._host, devices, budget_bytes=memory.budget_bytes, is_short=memory.is_short, measure=memory.measure
        )
        self._pools: dict[str, Pool] = {}
        self._same_as: dict[str, str] = {}  # earlier versions, by the version that runs for them
        self._runs: dict[str, tuple[ReplicaCall, CallFollower]] = {}
        self._environments = environments
        self._preparing: set[str] = set()  # versions whose environment is being built
        self._on_capacity: OnCapacity = _not_listening
        self._on_broken: OnBroken = _not_listening

    def listen(self, *, on_capacity: OnCapacity, on_broken: OnBroken) -> None:
        """Set the callbacks for capacity and for versions that cannot run; call it first."""
        self._on_capacity = on_capacity
        self._on_broken = on_broken

    async def __aenter__(self) -> Self:
        self._host.start(self._check_health())
        self._host.start(self._look_around())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        await self._host.close()

    # the models that it serves

    def add(self, version: str, source: ModelSource) -> None:
        """Serve this version from now on; nothing is started yet. Adding it again changes nothing."""
        self._same_as.pop(version, None)
        pool = self._pools.get(version)
        if pool is not None:
            pool.revive()
        else:
            self._pools[version] = Pool(
                version,
                source,
                self._host,
                self._scheduler,
                on_capacity=self._notify_capacity,
                on_broken=self._tell_broken,
            )

    def serve_also(self, earlier: str, version: str) -> None:
        """Run predictions of an earlier version in the processes of this one, until that is removed."""
        if earlier not in self._pools:
            self._same_as[earlier] = version

    async def remove(self, version: str) -> None:
        """Stop serving it; short runs may finish, others end with the reason `worker_lost`."""
        self._same_as = {
            earlier: served for earlier, served in self._same_as.items() if version not in {earlier, served}
        }
        pool = self._pools.pop(version, None)
        if pool is not None:
            await pool.close()

    async def retire(self, version: str) -> bool:
        """Let running predictions end, then `remove`. False if the version was added again meanwhile."""
        pool = self._pools.get(version)
        if pool is not None and not await pool.retire():
            return False
        await self.remove(version)
        return True

    def serves(self, version: str) -> bool:
        """Whether it has the files of this version."""
        return self._pool(version) is not None

    def is_loaded(self, version: str) -> bool:
        """Whether it has processes."""
        pool = self._pool(version)
        return pool is not None and bool(pool.replicas)

    def preload(self, version: str) -> None:
        """Load the model before the first request."""
        pool = self._pools[version]
        if self._is_prepared(version, pool):
            pool.load()

    def states(self) -> list[PoolState]:
        """The state of each pool, by name of its model."""
        return sorted((self._state(pool) for pool in self._pools.values()), key=lambda state: state.model)

    async def measured_states(self) -> list[PoolState]:
        """`states`, with a new measurement of memory."""
        await self._scheduler.measure()
        return self.states()

    def why_starting(self, version: str) -> str | None:
        """Why predictions of this version have not started, if they wait for more than their turn."""
        pool = self._pools.get(version) or self._pool(version)
        if pool is None or pool.is_ready:
            return None
        return self._why_building(pool) or pool.why_starting

    # dispatch.ports.Provider

    def free_slots(self, version: str) -> int:
        pool = self._pool(version)
        return pool.free_slots if pool is not None else 0

    def request_capacity(self, version: str, *, alone: bool = False) -> None:
        pool = self._pool(version)
        if pool is not None:
            if self._is_prepared(pool.version, pool):
                pool.request_capacity(alone=alone)
            return
        text = f"The version {version} is not served on this machine (any more)."
        asyncio.get_running_loop().call_soon(self._on_broken, version, text, "version_unavailable")

    def take_slot(self, version: str, *, alone: bool = False) -> bool:
        pool = self._pools.get(version) or self._pool(version)
        return pool is not None and (pool.take_alone() if alone else pool.take())

    def drop_slot(self, version: str, *, alone: bool = False) -> None:
        pool = self._pool(version)
        if pool is not None:
            pool.drop(alone=alone)

    async def submit(self, work: Work) -> str:
        pool = self._pool(work.version)
        if pool is None:
            raise Overloaded(f"The version {work.version} is not served on this machine (any more).")
        follower = CallFollower()
        run = pool.begin(work, follower)
        handle = f"local:{work.prediction_id}:{work.attempt}:{work.fence}"
        self._runs[handle] = run, follower
        return handle

    def begin_at_once(self, work: Work, listener: RunListener) -> BegunRun | None:
        pool = self._pools.get(work.version) or self._pool(work.version)
        return None if pool is None else pool.begin(work, listener)

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        del work, handle
        return None  # a run of an earlier process ended with that process

    async def follow(self, handle: str, emit: Emit) -> Outcome:
        found = self._runs.get(handle)
        if found is None:
            return _LOST
        try:
            return await found[1].follow(emit)
        finally:
            del self._runs[handle]

    def cancel(self, handle: str) -> None:
        found = self._runs.get(handle)
        if found is not None:
            found[0].cancel()

    # periodic work, outside the path of a prediction

    async def _check_health(self) -> None:
        while True:
            await self._host.clock.sleep(self._host.rules.health_check_seconds)
            for pool in list(self._pools.values()):
                pool.check_health()

    async def _look_around(self) -> None:
        while True:
            await self._host.clock.sleep(LOOK_AROUND_SECONDS)
            await self._scheduler.check()

    # environments are built before the pool starts, so that a replica finds its interpreter

    def _is_prepared(self, version: str, pool: Pool) -> bool:
        if self._environments is None or self._environments.is_ready(pool.source):
            return True
        if version not in self._preparing:
            self._preparing.add(version)
            self._host.start(self._prepare(version, pool, self._environments))
        return False

    def _state(self, pool: Pool) -> PoolState:
        why = self._why_building(pool)
        return pool.state() if why is None else msgspec.structs.replace(pool.state(), doing="building", why=why)

    def _why_building(self, pool: Pool) -> str | None:
        line = None if self._environments is None else self._environments.building(pool.source)
        if line is None and pool.version not in self._preparing:
            return None
        return f"its environment is being built: {line or 'about to begin'}"

    async def _prepare(self, version: str, pool: Pool, environments: EnvironmentBuilder) -> None:
        try:
            await environments.prepare(pool.source)
        except HalleyError as error:
            self._tell_broken(version, str(error), "environment_failed")
        else:
            pool.request_capacity()
        finally:
            self._preparing.discard(version)

    # in two steps, because `listen` may be called after the first pool

    def _notify_capacity(self, version: str) -> None:
        for name in self._names_of(version):
            self._on_capacity(name)

    def _tell_broken(self, version: str, error: str, reason: str) -> None:
        for name in self._names_of(version):
            self._on_broken(name, error, reason)

    def _names_of(self, version: str) -> list[str]:
        return [version, *(earlier for earlier, served in self._same_as.items() if served == version)]

    def _pool(self, version: str) -> Pool | None:
        return self._pools.get(self._same_as.get(version, version) if self._same_as else version)


def _not_listening(*_: str) -> None:
    pass
