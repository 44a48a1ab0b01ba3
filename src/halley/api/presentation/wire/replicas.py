"""Model processes and what they print: an extension."""

from typing import Literal

import msgspec

from halley.api.presentation.wire.values import ListPage, Time


class ReplicaBody(msgspec.Struct, kw_only=True):
    """A model process of this server; or a model that has none, with the reason for waiting. A broken one has no
    version.

    `load_progress` is read from a progress bar that a loading process prints, 0 to 1. `unexpected_exits` counts the
    model's processes that ended without being unloaded, since the server has known the version.
    """

    model: str
    version: str
    state: Literal[
        "unloaded", "building", "loading", "ready", "busy", "stopping", "waiting_for_room", "waiting_to_retry", "broken"
    ]
    reason: str | None
    pinned: bool
    pid: int | None
    memory_bytes: int
    peak_memory_bytes: int
    device: str | None
    slots: int
    busy_slots: int
    uptime_seconds: float | None
    load_progress: float | None
    isolation: Literal["isolated", "plain", "off"] | None
    isolation_reason: str | None
    last_exit_reason: str | None
    last_exit: str | None
    unexpected_exits: int


class ReplicaPage(ListPage, kw_only=True):
    """All model processes, by model. Together they may use `memory_budget_bytes`; null if there is no limit."""

    memory_budget_bytes: int | None

    results: list[ReplicaBody]


class LogLine(msgspec.Struct, kw_only=True):
    """A line that a model's process printed outside of predictions. Numbers count the model's lines."""

    number: int
    ended_at: Time
    version: str
    pid: int
    text: str


class LogPage(ListPage, kw_only=True):
    """The last lines, the oldest first."""

    results: list[LogLine]


class ClearedSetup(msgspec.Struct, kw_only=True):
    """The size of what setups of a model had left; null if there was nothing."""

    model: str
    cleared_bytes: int | None
