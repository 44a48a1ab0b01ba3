"""The replicas of one version: loaded on request, assigned slot by slot, and loaded again when they die."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from halley.dispatch.ports import RunListener, Work
from halley.errors import Overloaded
from halley.replicas.admission import Never, Wait
from halley.replicas.endings import End, last_line
from halley.replicas.exclusive import ExclusiveReplica
from halley.replicas.host import Host
from halley.replicas.loading import ModelSource
from halley.replicas.memory_scheduler import MemoryScheduler
from halley.replicas.replica import Replica, State
from halley.replicas.replica_call import ReplicaCall
from halley.replicas.restart_backoff import RestartBackoff
from halley.replicas.states import PoolState, doing_of, state_of

_log = logging.getLogger(__name__)

OnCapacity = Callable[[str], None]
"""Called with the version."""
OnBroken = Callable[[str, str, str], None]
"""Called with the version, an error text for people, and a reason word."""

IDLE_DEATHS: Final = 5  # in a row; after that it is loaded on request only


class Pool:
    """Implements `replica.ReplicaOwner` and `memory_scheduler.LoadedModel`.

    `on_capacity` is called once after each `request_capacity` that had to wait; never from inside it.
    """

    def __init__(
        self,
        version: str,
        source: ModelSource,
        host: Host,
        scheduler: MemoryScheduler,
        *,
        on_capacity: OnCapacity,
        on_broken: OnBroken,
    ) -> None:
        self.version = version
        self.source = source
        self.idle_since = 0.0
        self._host: Final = host
        self._scheduler: Final = scheduler
        self._on_capacity = on_capacity
        self._on_broken = on_broken
        self._replicas: list[Replica] = []
        self._held = 0
        self._wanted = False
        self._exclusive = ExclusiveReplica()
        self._closed = False
        self._retired = False
        self._is_draining = False
        self._waits_for_first = False  # the others are set up after the first, with its files
        self._waits: str | None = None
        self._backoff = RestartBackoff(host, self.load)
        self._last_end: End | None = None
        self._last_exit: End | None = None
        self._unexpected_exits = 0
        scheduler.add(self)

    @property
    def free_slots(self) -> int:
        """Slots that are neither used nor held."""
        free = -self._held
        for replica in self._replicas:
            free += replica.free
        return free if free > 0 and not self._is_draining else 0

    @property
    def replicas(self) -> Sequence[Replica]:
        """All its processes, including stopping ones."""
        return self._replicas

    @property
    def is_idle(self) -> bool:
        if self._held or self._exclusive.is_taken or not self._replicas or (self._is_wanted and not self._is_draining):
            return False
        return all(replica.state is State.READY and not replica.runs for replica in self._replicas)

    @property
    def is_loading(self) -> bool:
        """Whether its first process is loading."""
        states = {replica.state for replica in self._replicas}
        return State.STARTING in states and State.READY not in states

    @property
    def is_ready(self) -> bool:
        """Whether a process has loaded the model."""
        for replica in self._replicas:  # noqa: SIM110 - without a generator: asked for each answer to a create
            if replica.state is State.READY:
                return True
        return False

    @property
    def why_starting(self) -> str | None:
        """Why its first predictions wait, with the last line that the loading process printed."""
        if self.is_ready:
            return None
        loading = [replica for replica in self._replicas if replica.state is State.STARTING]
        if loading:
            line = last_line(loading[0].tail)
            return f"its model is being loaded: {line}" if line else "its model is being loaded"
        if self._waits is not None:
            return f"its model {self._waits}"
        return "its model failed, and is loaded again in a moment" if self._backoff.is_waiting else None

    def request_capacity(self, *, alone: bool = False) -> None:
        """Make capacity, and call `on_capacity` when there is some, or `on_broken` when there will be none."""
        if self._closed:
            return
        if alone:
            self._exclusive.is_wanted = True
        else:
            self._wanted = True
        if self._has_requested_capacity():
            asyncio.get_running_loop().call_soon(self._notify_capacity)
        else:
            self.load()

    def load(self) -> None:
        """Start the missing replicas: at once, when there is memory, or after the pause that follows a failure."""
        if self._closed or self._retired or self._is_draining or self._backoff.is_waiting:
            return
        present = sum(replica.state is not State.STOPPING and not replica.is_retiring for replica in self._replicas)
        for _ in range(self._may_be_present() - present):
            if self._backoff.wait():
                self._scheduler.forget(self)
                return
            if not self._start_one():
                return

    def take(self) -> bool:
        """Hold a slot; False if there is none."""
        if not self.free_slots:
            self._exclusive.release_if_unwanted()
            if not self.free_slots:
                return False
        self._held += 1
        return True

    def take_alone(self) -> bool:
        """Hold a whole replica in which nothing runs; False if there is none."""
        return not self._is_draining and self._exclusive.take(self._replicas, self._held)

    def drop(self, *, alone: bool = False) -> None:
        """Release a held slot."""
        if alone:
            self._exclusive.release()
        else:
            self._held = max(0, self._held - 1)
        self.idle_since = self._host.clock.monotonic()
        if self._has_requested_capacity():
            asyncio.get_running_loop().call_soon(self._notify_capacity)

    def begin(self, work: Work, listener: RunListener) -> ReplicaCall:
        """Run in a held slot, in the replica with most free slots. The slot stays held if this raises.

        Raises:
            HalleyError: nothing was begun.
        """
        if work.alone:
            return self._exclusive.begin(work, listener)
        freest, most = None, 0
        for replica in self._replicas:
            if (free := replica.free) > most:
                freest, most = replica, free
        if freest is None:
            raise Overloaded(f"The process of {self.source.name} ended before the prediction began; it can run again.")
        run = freest.begin(work, listener)
        if self._held:
            self._held -= 1
        return run

    async def close(self) -> None:
        """Stop the replicas; nothing is loaded after this."""
        self._closed = True
        self._scheduler.remove(self)
        self._backoff.cancel()
        await asyncio.gather(*(replica.stop() for replica in list(self._replicas)))

    async def retire(self) -> bool:
        """Load nothing any more; return when the loaded replicas have been unused for a moment.

        False if `revive` was called meanwhile.
        """
        self._retired = True
        self._scheduler.forget(self)
        pause = self._host.rules.look_seconds
        while self._retired and self._replicas and not self._is_unused(pause):
            for replica in self._replicas:
                if replica.state is State.STARTING:
                    replica.kill(
                        End(reason="unloaded", error=f"{self.source.name}: its files changed while it loaded.")
                    )
            await self._host.clock.sleep(pause)
        return self._retired

    def revive(self) -> None:
        """Use the version again: its files are as they were."""
        self._retired = False

    def check_health(self) -> None:
        """Ping every idle process."""
        for replica in list(self._replicas):
            replica.check_health()

    def state(self) -> PoolState:
        """The state, as it is shown to people."""
        now = self._host.clock.monotonic()
        replicas = [state_of(replica, now) for replica in self._replicas]
        first = next((replica for replica in self._replicas if replica.state is not State.STOPPING), None)
        end = self._last_exit
        return PoolState(
            version=self.version,
            model=self.source.name,
            doing=doing_of(replicas, has_no_room=self._waits is not None, is_backing_off=self._backoff.is_waiting),
            pid=first.pid if first is not None else None,
            slots=sum(state.slots for state in replicas),
            running=sum(state.running for state in replicas),
            setup_logs=first.tail if first is not None else "",
            error=self._last_end.error if self._last_end is not None else None,
            why=self._waits,
            pinned=self.source.pinned,
            exit_reason=end.reason if end is not None else None,
            exit_text=end.error if end is not None else None,
            unexpected_exits=self._unexpected_exits,
            replicas=tuple(replicas),
        )

    # calls from the memory scheduler (memory_scheduler.LoadedModel)

    def unload(self, why: str) -> None:
        for replica in self._replicas:
            if replica.state is State.READY and not replica.runs:
                self._host.start(replica.stop(End(reason="unloaded", error=why)))

    def postpone(self, why: str) -> None:
        for replica in list(self._replicas):
            if replica.state is State.STARTING:
                replica.kill(End(reason="unloaded", error=why))

    def drain(self) -> None:
        self._is_draining = True

    def resume(self) -> None:
        if self._is_draining:
            self._is_draining = False
            self._notify_capacity()

    def fail_loading(self, error: str) -> None:
        for replica in list(self._replicas):
            if replica.state is State.STARTING:
                replica.kill(End(reason="out_of_memory", error=error))

    # calls from the replica (replica.ReplicaOwner)

    def replica_ready(self, replica: Replica) -> None:
        self._last_end = None
        self.idle_since = self._host.clock.monotonic()
        self._scheduler.loaded(self, replica)
        self._notify_capacity()
        if self._waits_for_first:
            self._waits_for_first = False
            self.load()

    def slots_freed(self) -> None:
        self._backoff.failures = 0
        self.idle_since = self._host.clock.monotonic()
        self._exclusive.release_if_done()
        if self._wanted or self._exclusive.is_wanted:
            self._notify_capacity()

    def replica_retires(self) -> None:
        self.load()  # the next one, if there is memory for both

    def replica_gone(self, replica: Replica, end: End, *, was: State, ran: bool) -> None:
        self._replicas.remove(replica)
        self._exclusive.release_if_done()
        self._last_exit = end
        self._unexpected_exits += end.reason not in {"unloaded", "worker_lost"}
        if self._closed:
            return
        self._is_draining = self._is_draining and bool(self._replicas)
        postponed = was is State.STARTING and end.reason == "unloaded"
        if was is State.STARTING and not postponed:
            self._setup_failed(end)
        elif end.reason != "unloaded":
            self._last_end = end
            if not ran:  # a process that dies repeatedly by itself must not be restarted without limit
                self._backoff.failed()
        # a waiting model comes before the one that was unloaded for it
        self._scheduler.replica_gone()
        if was is State.STARTING and not postponed:
            return
        has_siblings = any(replica.state is State.READY for replica in self._replicas)
        # one that was in memory is loaded again, unless it dies repeatedly while unused
        died = was is State.READY and self._backoff.failures <= IDLE_DEATHS
        is_missed = died or has_siblings or self.source.pinned or end.reason in {"unresponsive", "unhealthy"}
        if self._is_wanted or postponed or (is_missed and end.reason != "unloaded"):
            self.load()

    # internal steps

    def _may_be_present(self) -> int:
        """How many processes there may be now: the first setup of a version runs alone."""
        places, wanted = self._host.places, self.source.replicas
        if wanted == 1 or places is None or any(replica.state is State.READY for replica in self._replicas):
            return wanted
        self._waits_for_first = not places.knows_setup(self.version)
        return 1 if self._waits_for_first else wanted

    def _start_one(self) -> bool:
        """Start one replica. True if another one may be started next."""
        answer = self._scheduler.admit(self)
        if isinstance(answer, Wait):
            if self._waits is None and not self._replicas:
                _log.info("%s %s", self.source.name, answer.why)
            self._waits = answer.why
            return False
        self._waits = None
        if isinstance(answer, Never):
            self._fail_soon(End(reason="out_of_memory", error=answer.error))
            return False
        try:
            self._replicas.append(Replica(self.version, self.source, self, self._host, answer.device))
        except OSError as error:
            text = f"{self.source.name}: its process cannot be started: {error}."
            self._fail_soon(End(reason="setup_failed", error=text))
            return False
        return True

    def _fail_soon(self, end: End) -> None:
        # not from inside `request_capacity`: the caller is not ready for the callback
        asyncio.get_running_loop().call_soon(self._setup_failed, end)

    def _setup_failed(self, end: End) -> None:
        self._last_end = end
        self._backoff.failed()
        if any(replica.state in {State.READY, State.STARTING} for replica in self._replicas):
            return  # the other replicas serve the waiting predictions
        self._wanted = self._exclusive.is_wanted = False  # the waiting predictions fail now
        self._on_broken(self.version, end.error, end.reason)

    @property
    def _is_wanted(self) -> bool:
        return self._wanted or self._exclusive.is_wanted

    def _has_requested_capacity(self) -> bool:
        if self._wanted and self.free_slots:
            return True
        return self._exclusive.is_wanted and not self._is_draining and self._exclusive.find(self._replicas, self._held)

    def _notify_capacity(self) -> None:
        if self._has_requested_capacity():
            self._wanted = self._exclusive.is_wanted = False  # callers that still wait ask again
            self._on_capacity(self.version)

    def _is_unused(self, seconds: float) -> bool:
        return self.is_idle and self._host.clock.monotonic() - self.idle_since >= seconds
