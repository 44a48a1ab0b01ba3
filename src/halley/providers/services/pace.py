"""The limits of a service, from its answers: for how long it may be sent nothing."""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any, Final

from halley.clock import Clock
from halley.egress import EgressResponse
from halley.errors import ProviderBusy
from halley.providers.services.answers import Body

LONGEST_SECONDS: Final = 120.0  # a service that says more is asked again by then
_SHORTEST_SECONDS: Final = 1.0
_PARTS: Final = re.compile(r"(?:^|[,;\s])(remaining|reset|r|t)=\"?(\d+)", re.IGNORECASE)


class ServicePace:
    """When the service may be sent the next request. All requests to one service share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = 0.0
        self._refusals = 0

    @property
    def paused_seconds(self) -> float:
        """How long nothing may be sent; 0 if it may be sent now."""
        return max(self._until - self._clock.monotonic(), 0.0)

    def check(self) -> None:
        """Raises:
        ProviderBusy: nothing may be sent now.
        """
        if (seconds := self.paused_seconds) > 0:
            raise ProviderBusy("It wants no requests now.", retry_after_seconds=max(ceil(seconds), 1))

    def note(self, response: EgressResponse, body: Body | None) -> None:
        """Learn from an answer."""
        said = _retry_after(response, body, self._clock.now())
        if response.status == 429 or (response.status == 503 and said is not None):
            self._refusals += 1
            self.pause(2.0 ** min(self._refusals - 1, 6) if said is None else said)
            return
        self._refusals = 0
        if (reset := _exhausted(response.headers)) is not None:
            self.pause(reset)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long; never shortens a pause."""
        seconds = min(max(seconds, _SHORTEST_SECONDS), LONGEST_SECONDS)
        self._until = max(self._until, self._clock.monotonic() + seconds)


def _retry_after(response: EgressResponse, body: Body | None, now: datetime) -> float | None:
    """Seconds, from the header (a number or a date) or the body of Replicate's 429 (contract section 5)."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    if text:
        try:
            return max((parsedate_to_datetime(text) - now).total_seconds(), 0.0)
        except (ValueError, TypeError):
            pass
    said: Any = None if body is None else body.get("retry_after")
    return float(said) if isinstance(said, int | float) and not isinstance(said, bool) and said >= 0 else None


def _exhausted(headers: Mapping[str, str]) -> float | None:
    """Seconds until requests are allowed again, if none remain now.

    Sources: draft-ietf-httpapi-ratelimit-headers (`RateLimit: remaining=0, reset=5`, later `"default";r=0;t=5`), and
    the older `RateLimit-Remaining` and `RateLimit-Reset`, also with `X-`.
    """
    found = {name.lower(): int(number[:9]) for name, number in _PARTS.findall(headers.get("ratelimit", ""))}
    remaining, reset = found.get("remaining", found.get("r")), found.get("reset", found.get("t"))
    for prefix in ("ratelimit-", "x-ratelimit-"):
        if remaining is None:
            remaining = _number(headers.get(f"{prefix}remaining"))
            reset = _number(headers.get(f"{prefix}reset"))
    if remaining != 0 or reset is None or reset > 86_400:  # a larger one is a time of day, in some of the older forms
        return None
    return float(reset)


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text[:9]) if text.isascii() and text.isdigit() else None
