"""What a process does of the work of a server, and with whom it shares its data. See docs/why/roles.md."""

from enum import StrEnum
from typing import Final

import msgspec


class Role(StrEnum):
    """A part of the work that a process can do without the others."""

    WORKER = "worker"  # runs predictions in model processes of its own
    MAINTAINER = "maintainer"  # takes back lost work, applies deadlines, sends webhooks, removes old data
    API = "api"  # answers requests


ALL_ROLES: Final = frozenset(Role)


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One process. Production has all roles and shares its data folder with nobody; tests may choose."""

    roles: frozenset[Role] = ALL_ROLES
    is_shared: bool = False  # other processes may use the same data folder
    is_alone: bool = True  # at its start: what is there was left by processes that are gone
