"""How often a service is asked for the state of its runs."""

import msgspec


class PollRules(msgspec.Struct, frozen=True, kw_only=True):
    """Poll intervals and limits.

    A new run is polled after `first_seconds`, a run that has changed after `changed_seconds`. While nothing changes,
    the interval grows by the factor `growth`, up to `longest_seconds`. All runs of the service together get at most
    `per_second` polls in a second, and at most `at_once` polls wait for an answer at the same time. A run that the
    service has not known for `gone_seconds` is lost; a service may not know a run in the first moment after its create.
    While webhooks of the service arrive, a run is polled at each webhook, and otherwise every `hinted_seconds`.
    """

    first_seconds: float = 0.5
    changed_seconds: float = 0.5
    longest_seconds: float = 5.0
    growth: float = 1.4
    per_second: float = 10.0
    at_once: int = 4
    gone_seconds: float = 30.0
    hinted_seconds: float = 20.0
