"""How often a service is asked for the state of its runs."""

import msgspec


class PollRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rhythm of polling. A new run is asked for after `first_seconds`, one that has changed after
    `changed_seconds`, and later and later up to `longest_seconds` while nothing changes; all runs of the service
    together at most `per_second` times, and `at_once` at the same time. A run that the service does not know for
    `gone_seconds` is lost; it may not know it in the first moment after the create. While webhooks of the service
    arrive, a run is asked for at each of them, and otherwise only every `hinted_seconds`.
    """

    first_seconds: float = 0.5
    changed_seconds: float = 0.5
    longest_seconds: float = 5.0
    growth: float = 1.4
    per_second: float = 10.0
    at_once: int = 4
    gone_seconds: float = 30.0
    hinted_seconds: float = 20.0
