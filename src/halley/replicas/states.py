"""The states of models and their processes, as they are shown to people."""

from typing import Literal

import msgspec

from halley.replicas.places import IsolationWay

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

    `exit_reason` and `exit_text` describe the last process that ended, even if the model runs again.
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
    replicas: tuple[ReplicaState, ...] = ()
