"""Time and size limits of dispatch."""

import msgspec


class OutputCaps(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the progress of one attempt."""

    log_bytes: int = 16 * 2**20
    metric_bytes: int = 16 * 2**20  # of JSON
    output_items: int = 100_000
    output_bytes: int = 64 * 2**20  # of JSON; files are limited by the disk


class DispatchRules(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that an operator may set; times in seconds."""

    lease_seconds: float = 20.0
    heartbeat_seconds: float = 5.0
    max_queue_seconds: float = 86_400.0
    run_timeout_seconds: float = 1_800.0
    caps: OutputCaps = OutputCaps()
