"""The states of models and their processes, as they are shown to people."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from halley.replicas.endings import last_line
from halley.replicas.places import IsolationWay
from halley.replicas.replica import Replica, State

Doing = Literal["unloaded", "building", "loading", "ready", "busy", "stopping", "waiting_for_room", "waiting_to_retry"]


class ReplicaState(msgspec.Struct, frozen=True, kw_only=True):
    """One process. `memory_bytes` is 0 until it was measured."""

    doing: Doing
    pid: int
    memory_bytes: int
    peak_bytes: int
    device: str | None
    slots: int
    running: int
    uptime_seconds: float
    why: str | None = None  # while it loads: the last line that it printed
    way: IsolationWay | None = None  # how it is isolated; None until it is known


class PoolState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a pool. `error` is why the last replica failed, until one works again; `why` is what the pool waits
    for.

    `exit_reason` and `exit_text` describe the last process that ended, even if the model runs again;
    `unexpected_exits` counts those that were not unloaded.
    """

    version: str
    model: str
    doing: Doing
    pid: int | None = None
    slots: int = 0
    running: int = 0
    setup_logs: str = ""
    error: str | None = None
    why: str | None = None
    pinned: bool = False
    exit_reason: str | None = None
    exit_text: str | None = None
    unexpected_exits: int = 0
    replicas: tuple[ReplicaState, ...] = ()


def state_of(replica: Replica, now: float) -> ReplicaState:
    """The state of a process; `now` is monotonic."""
    doing: dict[State, Doing] = {State.STARTING: "loading", State.READY: "ready"}
    return ReplicaState(
        doing="busy" if replica.runs else doing.get(replica.state, "stopping"),
        pid=replica.pid,
        memory_bytes=replica.used_bytes,
        peak_bytes=replica.peak_bytes,
        device=f"{replica.device.name} ({replica.device.id})" if replica.device is not None else None,
        slots=replica.slots,
        running=len(replica.runs),
        why=last_line(replica.tail) or None if replica.state is State.STARTING else None,
        uptime_seconds=now - replica.started_at,
        way=replica.way,
    )


def doing_of(replicas: Sequence[ReplicaState], *, has_no_room: bool, is_backing_off: bool) -> Doing:
    """What a pool with these processes is doing."""
    for doing in ("busy", "ready", "loading", "stopping"):
        if any(state.doing == doing for state in replicas):
            return doing
    if has_no_room:
        return "waiting_for_room"
    return "waiting_to_retry" if is_backing_off else "unloaded"
