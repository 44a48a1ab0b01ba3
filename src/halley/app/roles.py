"""The roles of a process in a server, and whether it shares its data. See docs/why/roles.md."""

from enum import StrEnum
from typing import Final

import msgspec


class Role(StrEnum):
    """A part of a server's work that a process can do without the others."""

    WORKER = "worker"  # runs predictions in its own model processes
    MAINTAINER = "maintainer"  # reaps lost work, applies deadlines, sends webhooks, removes old data
    API = "api"  # answers requests


ALL_ROLES: Final = frozenset(Role)


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One process. In production it has all roles and does not share its data folder; tests may choose."""

    roles: frozenset[Role] = ALL_ROLES
    is_shared: bool = False  # other processes may use the same data folder
    is_alone: bool = True  # at its start: existing work was left by dead processes
