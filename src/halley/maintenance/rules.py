"""Numbers of maintenance."""

import msgspec


class MaintenanceRules(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that an operator may set."""

    lease_seconds: float = 20.0
    max_attempts: int = 2
    max_queue_seconds: float = 86_400.0
    unoffered_seconds: float = 60.0  # a version that no worker offers waits so long for one that does
