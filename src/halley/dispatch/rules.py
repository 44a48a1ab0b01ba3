"""Numbers of dispatch."""

import msgspec

from halley.dispatch.recorder import OutputCaps


class DispatchRules(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that an operator may set."""

    lease_seconds: float = 20.0
    heartbeat_seconds: float = 5.0
    max_queue_seconds: float = 86_400.0
    run_timeout_seconds: float = 1_800.0
    caps: OutputCaps = OutputCaps()
