"""Decides which models may be in memory: the budget, the devices, and which model is unloaded for another.

Only measured bytes count: PSS of everything that a replica started. Running predictions are never ended to free memory;
of the idle models, the least recently used is unloaded first.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from halley.replicas.admission import Grant, Never, Wait
from halley.replicas.devices import Devices, Tenancy
from halley.replicas.endings import megabytes
from halley.replicas.host import Host
from halley.replicas.loading import ModelSource
from halley.replicas.memory import used_of
from halley.replicas.replica import Replica, State

_log = logging.getLogger(__name__)

Measure = Callable[[Sequence[int]], Mapping[int, int]]
"""Bytes by process id, of the process and its descendants. Called in a thread."""


class LoadedModel(Protocol):
    """A model that has replicas, or wants some."""

    version: str
    source: ModelSource

    @property
    def replicas(self) -> Sequence[Replica]: ...
    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, is about to run, or loads."""
        ...

    @property
    def idle_since(self) -> float:
        """The clock's monotonic seconds when it was last used, or loaded."""
        ...

    def load(self) -> None:
        """Try to start the missing replicas."""
        ...

    def unload(self, why: str) -> None:
        """Stop the idle replicas."""
        ...

    def postpone(self, why: str) -> None:
        """Stop the loading replicas, and load them again when there is room."""
        ...

    def give_way(self) -> None:
        """Let running predictions end and begin no new ones, until the model was unloaded."""
        ...

    def resume(self) -> None:
        """No model waits for memory any more: there is no need to unload."""
        ...

    def give_up(self, error: str) -> None:
        """Stop the loading replicas: the model can never be loaded here."""
        ...


class MemoryScheduler:
    """One for all pools. Without a budget and devices it admits every model at once."""

    def __init__(
        self,
        host: Host,
        devices: Devices,
        *,
        budget_bytes: int | None = None,
        is_short: Callable[[], bool] | None = None,
        measure: Measure = used_of,
    ) -> None:
        """If `is_short` is given (whether the machine is short of memory), no budget was configured: idle models are
        unloaded for others, but no model waits for running ones, and no loading one is stopped.
        """
        self._host = host
        self._devices = devices
        self._budget = budget_bytes
        self._is_short = is_short
        self._measure = measure
        self._residents: dict[str, LoadedModel] = {}
        self._waiting: dict[str, float] = {}  # monotonic seconds since when, by version; in order of arrival
        self._sizes: dict[str, int] = {}  # of one loaded replica, by version
        self._unweighed: set[Replica] = set()  # ready, but last measured while they loaded, or never
        self._attending: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_over = False

    def add(self, resident: LoadedModel) -> None:
        """Add a model."""
        self._residents[resident.version] = resident

    def remove(self, resident: LoadedModel) -> None:
        """Remove a model: it is not used any more."""
        self._residents.pop(resident.version, None)
        self._waiting.pop(resident.version, None)

    # calls from the loaded models

    def admit(self, who: LoadedModel) -> Grant | Wait | Never:
        """Whether the model may start a replica now. If not, memory is freed if that is possible without ending a run.

        Waiting models are served in order. A second replica of the same model is optional: no model is unloaded for it.
        """
        answer = self._place(who)
        if isinstance(answer, Wait) and not who.replicas:
            self._waiting.setdefault(who.version, self._host.clock.monotonic())
            self._attend()
        else:
            self._waiting.pop(who.version, None)
            if isinstance(answer, Grant) and self._budget is not None:
                self._attend()
        return answer

    def forget(self, who: LoadedModel) -> None:
        """Note that the model does not wait any more."""
        self._waiting.pop(who.version, None)

    def loaded(self, who: LoadedModel, replica: Replica) -> None:
        """A replica is ready: its size can be measured now."""
        if self._budget is not None:
            self._unweighed.add(replica)
            self._host.start(self._weigh(who, replica))

    def left(self) -> None:
        """A replica has ended: a waiting model may fit now."""
        for version in list(self._waiting):
            if version in self._residents:
                self._residents[version].load()

    async def measure(self) -> None:
        """Measure all replicas now."""
        replicas = {replica.pid: replica for replica in self._all() if replica.state is not State.GONE}
        used = await asyncio.to_thread(self._measure, list(replicas)) if replicas else {}
        for pid, used_bytes in used.items():
            replicas[pid].measured(used_bytes)

    async def look_around(self) -> None:
        """Periodic work: unload unused models, and those that grew over the budget."""
        seconds = self._host.rules.idle_unload_seconds
        if seconds is not None:
            for resident in self._idle(longer_than=seconds):
                resident.unload(f"{resident.source.name}: unloaded, unused for {seconds:g} s.")
        if self._budget is not None and self._must_look():
            await self.measure()
            self._settle(self._budget)

    # decisions

    def _must_look(self) -> bool:
        return self._is_short is None or self._is_short()

    def _place(self, who: LoadedModel) -> Grant | Wait | Never:
        is_first = not who.replicas
        ahead = next(iter(self._waiting), who.version)
        if ahead != who.version and ahead in self._residents:
            return Wait(why=f"waits for room behind {self._residents[ahead].source.name}")
        device = None
        if who.source.needs_device:
            found = self._device(who, is_first=is_first)
            if isinstance(found, Wait | Never):
                return found
            device = found.device
        fault = self._memory(who, is_first=is_first) if self._budget is not None else None
        return fault or Grant(device=device)

    def _device(self, who: LoadedModel, *, is_first: bool) -> Grant | Wait | Never:
        if not self._devices.are_known:
            if self._looking is None:
                self._looking = self._host.start(self._look_for_devices())
            return Wait(why="looks for devices")
        if not self._devices.exist:
            return Grant()
        never = self._devices.fault(who.source)
        if never is not None:
            return Never(error=never)
        device = self._devices.place(who.source, self._tenancies())
        if device is not None:
            return Grant(device=device)
        holders = [resident for resident in self._residents.values() if any(r.device for r in resident.replicas)]
        going = any(replica.state is State.STOPPING for holder in holders for replica in holder.replicas)
        idle = [resident for resident in self._idle(self._host.rules.look_seconds) if resident in holders]
        if is_first and idle and not going:
            self._unload(idle[0], who)
        else:
            self._take_turns(who, holders)
        return Wait(why=f"waits for a device, held by {_names(holders)}")

    def _memory(self, who: LoadedModel, *, is_first: bool) -> Wait | Never | None:
        if self._is_short is not None:
            return self._memory_of_idle(who, self._budget or 0) if is_first else None
        if is_first and self._unweighed:  # the free memory is not known yet; a measurement is under way
            return Wait(why="waits until a model that was just loaded is measured")
        budget, need = self._budget or 0, self._need(who)
        if self._used() + need <= budget:
            return None
        pinned = self._pinned(beside=who)
        if need + pinned > budget and is_first:
            beside = f", of which pinned models hold {megabytes(pinned)}" if pinned else ""
            return Never(
                error=f"{who.source.name} needs {megabytes(need)}; the budget of all models is "
                f"{megabytes(budget)} (memory.budget_bytes){beside}."
            )
        why = f"waits for {megabytes(need)} of memory" if need else "waits for memory"
        soon = self._used(staying=True)
        if is_first and soon + need > budget:
            idle = self._idle(self._host.rules.look_seconds)
            if soon - sum(map(self._size, idle)) + need > budget:
                others = [each for each in self._residents.values() if each.replicas and each is not who]
                self._take_turns(who, others)
                return Wait(why=f"{why}, held by {_names(others)}")
            for resident in idle:
                if soon + need <= budget:
                    break
                soon -= self._size(resident)
                self._unload(resident, who)
        return Wait(why=why)

    def _memory_of_idle(self, who: LoadedModel, budget: int) -> Wait | None:
        """Without a configured budget: only idle models are unloaded for a model that would not fit."""
        need = self._sizes.get(who.version, 0)
        over = self._used(staying=True) + need - budget
        for resident in self._idle(self._host.rules.look_seconds):
            if over <= 0:
                break
            over -= self._size(resident)
            self._unload(resident, who)
        is_leaving = any(replica.state is State.STOPPING for replica in self._all())
        if is_leaving and self._used() + need > budget:
            return Wait(why="waits until idle models have left the memory")
        return None

    def _take_turns(self, who: LoadedModel, holders: Iterable[LoadedModel]) -> None:
        """When a model has waited for a whole turn, unload the model that has been ready longest after its runs end.

        A turn begins when the model is ready: otherwise models that load longer than a turn would be unloaded unused.
        """
        now, turn = self._host.clock.monotonic(), self._host.rules.turn_seconds
        if now - self._waiting.get(who.version, now) < turn:
            return
        over = {
            each.version: (since, each)
            for each in holders
            if not each.source.pinned and each is not who and (since := _ready_since(each)) + turn <= now
        }
        if over:
            min(over.values(), key=lambda pair: pair[0])[1].give_way()

    def _settle(self, budget: int) -> None:
        """Reduce the use to the budget: unload idle models, then postpone loading ones. Running ones stay."""
        over = self._used(staying=True) - budget
        if over <= 0:
            self._is_over = False
            return
        for resident in self._idle():
            over -= self._size(resident)
            resident.unload(f"{resident.source.name}: unloaded, all models used more than memory.budget_bytes.")
            if over <= 0:
                return
        if self._is_short is not None:
            return
        loading = [each for each in self._residents.values() if _is_loading(each)]
        if loading:
            self._too_large(max(loading, key=lambda each: each.replicas[-1].started_at), budget)
        elif not self._is_over:
            self._is_over = True
            _log.warning("the models that run use %s more than memory.budget_bytes", megabytes(over))

    def _too_large(self, resident: LoadedModel, budget: int) -> None:
        size = max(replica.used_bytes for replica in resident.replicas if replica.state is State.STARTING)
        others = [each for each in self._residents.values() if each is not resident and _stays(each)]
        if others or any(replica.state is State.READY for replica in resident.replicas):
            # it needs at least this much; twice as much is reserved, so that it does not grow in many small steps
            most = budget - self._pinned(beside=resident)
            self._sizes[resident.version] = max(self._sizes.get(resident.version, 0), min(2 * size, most))
            resident.postpone(f"{resident.source.name}: stopped while it loaded, until there is room for it.")
        else:
            resident.give_up(
                f"{resident.source.name}: out of memory: it used {megabytes(size)} while it loaded, more than the "
                f"budget of all models, {megabytes(budget)} (memory.budget_bytes)."
            )

    def _unload(self, resident: LoadedModel, for_whom: LoadedModel) -> None:
        resident.unload(f"{resident.source.name}: unloaded to make room for {for_whom.source.name}.")

    def _idle(self, longer_than: float = 0.0) -> list[LoadedModel]:
        """Models that may be unloaded, the least recently used first."""
        latest = self._host.clock.monotonic() - longer_than
        found = [
            each
            for each in self._residents.values()
            if each.is_idle and not each.source.pinned and each.idle_since <= latest
        ]
        return sorted(found, key=lambda each: each.idle_since)

    def _need(self, who: LoadedModel) -> int:
        size = self._sizes.get(who.version)
        if size is None:  # never measured: assumed to be as large as the largest, or as the budget allows
            largest = max(self._sizes.values(), default=0)
            size = min(largest, max(0, (self._budget or 0) - self._pinned(beside=who)))
        return size

    def _used(self, *, staying: bool = False) -> int:
        return sum(self._size(each, staying=staying) for each in self._residents.values())

    def _size(self, who: LoadedModel, *, staying: bool = False) -> int:
        size = 0
        for replica in who.replicas:
            if replica.state is State.STARTING:
                size += max(replica.used_bytes, self._sizes.get(who.version, 0))
            elif not (staying and replica.state is State.STOPPING):
                size += replica.used_bytes or self._sizes.get(who.version, 0)
        return size

    def _pinned(self, *, beside: LoadedModel) -> int:
        return sum(self._size(each) for each in self._residents.values() if each.source.pinned and each is not beside)

    def _all(self) -> list[Replica]:
        return [replica for resident in self._residents.values() for replica in resident.replicas]

    def _tenancies(self) -> list[Tenancy]:
        return [
            Tenancy(device=replica.device, memory_bytes=replica.source.gpu_memory_bytes)
            for replica in self._all()
            if replica.device is not None
        ]

    # its tasks, which run only while a model waits or loads

    def _attend(self) -> None:
        if self._attending is None or self._attending.done():
            self._attending = self._host.start(self._while_busy())

    async def _while_busy(self) -> None:
        """Check often while a model waits or loads."""
        while True:
            await self._host.clock.sleep(self._host.rules.look_seconds)
            if self._budget is not None and self._must_look():
                await self.measure()
                self._settle(self._budget)
            self.left()
            if not self._waiting:
                for resident in self._residents.values():
                    resident.resume()
            if not self._waiting and not any(replica.state is State.STARTING for replica in self._all()):
                return

    async def _weigh(self, who: LoadedModel, replica: Replica) -> None:
        try:
            used = await asyncio.to_thread(self._measure, [replica.pid])
            if used.get(replica.pid):
                replica.measured(used[replica.pid])
                self._sizes[who.version] = used[replica.pid]
        finally:
            self._unweighed.discard(replica)
        self.left()

    async def _look_for_devices(self) -> None:
        await self._devices.look()
        self.left()


def _is_loading(who: LoadedModel) -> bool:
    return any(replica.state is State.STARTING for replica in who.replicas)


def _stays(who: LoadedModel) -> bool:
    return any(replica.state in {State.READY, State.STARTING} for replica in who.replicas)


def _ready_since(who: LoadedModel) -> float:
    """The clock's monotonic seconds since when it could run predictions; infinity if it cannot yet."""
    return min((each.ready_at for each in who.replicas if each.ready_at is not None), default=math.inf)


def _names(residents: Iterable[LoadedModel]) -> str:
    return ", ".join(sorted(each.source.name for each in residents)) or "others"
