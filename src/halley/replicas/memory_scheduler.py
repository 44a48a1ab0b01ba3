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
from halley.replicas.devices import Devices, DeviceShare
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

    def drain(self) -> None:
        """Let running predictions end and begin no new ones, until the model was unloaded."""
        ...

    def resume(self) -> None:
        """No model waits for memory any more: there is no need to unload."""
        ...

    def fail_loading(self, error: str) -> None:
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
        self._models: dict[str, LoadedModel] = {}
        self._waiting: dict[str, float] = {}  # monotonic seconds since when, by version; in order of arrival
        self._sizes: dict[str, int] = {}  # of one loaded replica, by version
        self._unweighed: set[Replica] = set()  # ready, but last measured while they loaded, or never
        self._attending: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_over = False

    def add(self, loaded: LoadedModel) -> None:
        """Add a model."""
        self._models[loaded.version] = loaded

    def remove(self, loaded: LoadedModel) -> None:
        """Remove a model: it is not used any more."""
        self._models.pop(loaded.version, None)
        self._waiting.pop(loaded.version, None)

    # calls from the loaded models

    def admit(self, model: LoadedModel) -> Grant | Wait | Never:
        """Whether the model may start a replica now. If not, memory is freed if that is possible without ending a run.

        Waiting models are served in order. A second replica of the same model is optional: no model is unloaded for it.
        """
        answer = self._place(model)
        if isinstance(answer, Wait) and not model.replicas:
            self._waiting.setdefault(model.version, self._host.clock.monotonic())
            self._start_tasks()
        else:
            self._waiting.pop(model.version, None)
            if isinstance(answer, Grant) and self._budget is not None:
                self._start_tasks()
        return answer

    def forget(self, model: LoadedModel) -> None:
        """Note that the model does not wait any more."""
        self._waiting.pop(model.version, None)

    def loaded(self, model: LoadedModel, replica: Replica) -> None:
        """A replica is ready: its size can be measured now."""
        if self._budget is not None:
            self._unweighed.add(replica)
            self._host.start(self._weigh(model, replica))

    def replica_gone(self) -> None:
        """A replica has ended: a waiting model may fit now."""
        for version in list(self._waiting):
            if version in self._models:
                self._models[version].load()

    async def measure(self) -> None:
        """Measure all replicas now."""
        replicas = {replica.pid: replica for replica in self._all() if replica.state is not State.GONE}
        used = await asyncio.to_thread(self._measure, list(replicas)) if replicas else {}
        for pid, used_bytes in used.items():
            replicas[pid].measured(used_bytes)

    async def check(self) -> None:
        """Periodic work: unload unused models, and those that grew over the budget."""
        seconds = self._host.rules.idle_unload_seconds
        if seconds is not None:
            for loaded in self._idle(longer_than=seconds):
                loaded.unload(f"{loaded.source.name}: unloaded, unused for {seconds:g} s.")
        if self._budget is not None and self._must_look():
            await self.measure()
            self._enforce_budget(self._budget)

    # decisions

    def _must_look(self) -> bool:
        return self._is_short is None or self._is_short()

    def _place(self, model: LoadedModel) -> Grant | Wait | Never:
        is_first = not model.replicas
        ahead = next(iter(self._waiting), model.version)
        if ahead != model.version and ahead in self._models:
            return Wait(why=f"waits for room behind {self._models[ahead].source.name}")
        device = None
        if model.source.needs_device:
            found = self._device(model, is_first=is_first)
            if isinstance(found, Wait | Never):
                return found
            device = found.device
        fault = self._memory(model, is_first=is_first) if self._budget is not None else None
        return fault or Grant(device=device)

    def _device(self, model: LoadedModel, *, is_first: bool) -> Grant | Wait | Never:
        if not self._devices.are_known:
            if self._looking is None:
                self._looking = self._host.start(self._look_for_devices())
            return Wait(why="looks for devices")
        if not self._devices.has_any:
            return Grant()
        never = self._devices.fault(model.source)
        if never is not None:
            return Never(error=never)
        device = self._devices.place(model.source, self._device_shares())
        if device is not None:
            return Grant(device=device)
        holders = [loaded for loaded in self._models.values() if any(r.device for r in loaded.replicas)]
        going = any(replica.state is State.STOPPING for holder in holders for replica in holder.replicas)
        idle = [loaded for loaded in self._idle(self._host.rules.look_seconds) if loaded in holders]
        if is_first and idle and not going:
            self._unload(idle[0], model)
        else:
            self._end_a_turn(model, holders)
        return Wait(why=f"waits for a device, held by {_names(holders)}")

    def _memory(self, model: LoadedModel, *, is_first: bool) -> Wait | Never | None:
        if self._is_short is not None:
            return self._memory_of_idle(model, self._budget or 0) if is_first else None
        if is_first and self._unweighed:  # the free memory is not known yet; a measurement is under way
            return Wait(why="waits until a model that was just loaded is measured")
        budget, need = self._budget or 0, self._need(model)
        if self._used() + need <= budget:
            return None
        pinned = self._pinned(beside=model)
        if need + pinned > budget and is_first:
            beside = f", of which pinned models hold {megabytes(pinned)}" if pinned else ""
            return Never(
                error=f"{model.source.name} needs {megabytes(need)}; the budget of all models is "
                f"{megabytes(budget)} (memory.budget_bytes){beside}."
            )
        why = f"waits for {megabytes(need)} of memory" if need else "waits for memory"
        soon = self._used(staying=True)
        if is_first and soon + need > budget:
            idle = self._idle(self._host.rules.look_seconds)
            if soon - sum(map(self._size, idle)) + need > budget:
                others = [each for each in self._models.values() if each.replicas and each is not model]
                self._end_a_turn(model, others)
                return Wait(why=f"{why}, held by {_names(others)}")
            for loaded in idle:
                if soon + need <= budget:
                    break
                soon -= self._size(loaded)
                self._unload(loaded, model)
        return Wait(why=why)

    def _memory_of_idle(self, model: LoadedModel, budget: int) -> Wait | None:
        """Without a configured budget: only idle models are unloaded for a model that would not fit."""
        need = self._sizes.get(model.version, 0)
        over = self._used(staying=True) + need - budget
        for loaded in self._idle(self._host.rules.look_seconds):
            if over <= 0:
                break
            over -= self._size(loaded)
            self._unload(loaded, model)
        is_leaving = any(replica.state is State.STOPPING for replica in self._all())
        if is_leaving and self._used() + need > budget:
            return Wait(why="waits until idle models have left the memory")
        return None

    def _end_a_turn(self, model: LoadedModel, holders: Iterable[LoadedModel]) -> None:
        """When a model has waited for a whole turn, unload the model that has been ready longest after its runs end.

        A turn begins when the model is ready: otherwise models that load longer than a turn would be unloaded unused.
        """
        now, turn = self._host.clock.monotonic(), self._host.rules.turn_seconds
        if now - self._waiting.get(model.version, now) < turn:
            return
        over = {
            each.version: (since, each)
            for each in holders
            if not each.source.pinned and each is not model and (since := _ready_since(each)) + turn <= now
        }
        if over:
            min(over.values(), key=lambda pair: pair[0])[1].drain()

    def _enforce_budget(self, budget: int) -> None:
        """Reduce the use to the budget: unload idle models, then postpone loading ones. Running ones stay."""
        over = self._used(staying=True) - budget
        if over <= 0:
            self._is_over = False
            return
        for loaded in self._idle():
            over -= self._size(loaded)
            loaded.unload(f"{loaded.source.name}: unloaded, all models used more than memory.budget_bytes.")
            if over <= 0:
                return
        if self._is_short is not None:
            return
        loading = [each for each in self._models.values() if _is_loading(each)]
        if loading:
            self._too_large(max(loading, key=lambda each: each.replicas[-1].started_at), budget)
        elif not self._is_over:
            self._is_over = True
            _log.warning("the models that run use %s more than memory.budget_bytes", megabytes(over))

    def _too_large(self, loaded: LoadedModel, budget: int) -> None:
        size = max(replica.used_bytes for replica in loaded.replicas if replica.state is State.STARTING)
        others = [each for each in self._models.values() if each is not loaded and _stays(each)]
        if others or any(replica.state is State.READY for replica in loaded.replicas):
            # it needs at least this much; twice as much is reserved, so that it does not grow in many small steps
            most = budget - self._pinned(beside=loaded)
            self._sizes[loaded.version] = max(self._sizes.get(loaded.version, 0), min(2 * size, most))
            loaded.postpone(f"{loaded.source.name}: stopped while it loaded, until there is room for it.")
        else:
            loaded.fail_loading(
                f"{loaded.source.name}: out of memory: it used {megabytes(size)} while it loaded, more than the "
                f"budget of all models, {megabytes(budget)} (memory.budget_bytes)."
            )

    def _unload(self, loaded: LoadedModel, for_whom: LoadedModel) -> None:
        loaded.unload(f"{loaded.source.name}: unloaded to make room for {for_whom.source.name}.")

    def _idle(self, longer_than: float = 0.0) -> list[LoadedModel]:
        """Models that may be unloaded, the least recently used first."""
        latest = self._host.clock.monotonic() - longer_than
        found = [
            each
            for each in self._models.values()
            if each.is_idle and not each.source.pinned and each.idle_since <= latest
        ]
        return sorted(found, key=lambda each: each.idle_since)

    def _need(self, model: LoadedModel) -> int:
        size = self._sizes.get(model.version)
        if size is None:  # never measured: assumed to be as large as the largest, or as the budget allows
            largest = max(self._sizes.values(), default=0)
            size = min(largest, max(0, (self._budget or 0) - self._pinned(beside=model)))
        return size

    def _used(self, *, staying: bool = False) -> int:
        return sum(self._size(each, staying=staying) for each in self._models.values())

    def _size(self, model: LoadedModel, *, staying: bool = False) -> int:
        size = 0
        for replica in model.replicas:
            if replica.state is State.STARTING:
                size += max(replica.used_bytes, self._sizes.get(model.version, 0))
            elif not (staying and replica.state is State.STOPPING):
                size += replica.used_bytes or self._sizes.get(model.version, 0)
        return size

    def _pinned(self, *, beside: LoadedModel) -> int:
        return sum(self._size(each) for each in self._models.values() if each.source.pinned and each is not beside)

    def _all(self) -> list[Replica]:
        return [replica for loaded in self._models.values() for replica in loaded.replicas]

    def _device_shares(self) -> list[DeviceShare]:
        return [
            DeviceShare(device=replica.device, memory_bytes=replica.source.gpu_memory_bytes)
            for replica in self._all()
            if replica.device is not None
        ]

    # its tasks, which run only while a model waits or loads

    def _start_tasks(self) -> None:
        if self._attending is None or self._attending.done():
            self._attending = self._host.start(self._while_busy())

    async def _while_busy(self) -> None:
        """Check often while a model waits or loads."""
        while True:
            await self._host.clock.sleep(self._host.rules.look_seconds)
            if self._budget is not None and self._must_look():
                await self.measure()
                self._enforce_budget(self._budget)
            self.replica_gone()
            if not self._waiting:
                for loaded in self._models.values():
                    loaded.resume()
            if not self._waiting and not any(replica.state is State.STARTING for replica in self._all()):
                return

    async def _weigh(self, model: LoadedModel, replica: Replica) -> None:
        try:
            used = await asyncio.to_thread(self._measure, [replica.pid])
            if used.get(replica.pid):
                replica.measured(used[replica.pid])
                self._sizes[model.version] = used[replica.pid]
        finally:
            self._unweighed.discard(replica)
        self.replica_gone()

    async def _look_for_devices(self) -> None:
        await self._devices.look()
        self.replica_gone()


def _is_loading(model: LoadedModel) -> bool:
    return any(replica.state is State.STARTING for replica in model.replicas)


def _stays(model: LoadedModel) -> bool:
    return any(replica.state in {State.READY, State.STARTING} for replica in model.replicas)


def _ready_since(model: LoadedModel) -> float:
    """The clock's monotonic seconds since when it could run predictions; infinity if it cannot yet."""
    return min((each.ready_at for each in model.replicas if each.ready_at is not None), default=math.inf)


def _names(residents: Iterable[LoadedModel]) -> str:
    return ", ".join(sorted(each.source.name for each in residents)) or "others"
