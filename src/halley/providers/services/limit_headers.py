"""Reads the rate limits of a service from the headers of its answers."""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from halley.egress import EgressResponse
from halley.providers.services.answers import Body

_PARTS: Final = re.compile(r"(?:^|[,;\s])(limit|remaining|reset|q|r|t)=\"?(\d+)", re.IGNORECASE)
_DAY_SECONDS: Final = 86_400
_EPOCH: Final = 1_000_000_000  # a larger number of seconds is a time of day


class RateLimits(NamedTuple):
    """`limit` requests are allowed in a period, `remaining` of them are left, and the next period begins in
    `reset_seconds`. None: the service did not say it.
    """

    limit: int | None
    remaining: int | None
    reset_seconds: float | None


def retry_after(response: EgressResponse, body: Body | None, now: datetime) -> float | None:
    """Seconds, from the header (a number or a date) or the body of Replicate's 429 (contract section 5)."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    if text:
        try:
            return max((parsedate_to_datetime(text) - now).total_seconds(), 0.0)
        except (ValueError, TypeError, OverflowError):
            pass
    stated: Any = None if body is None else body.get("retry_after")
    if isinstance(stated, bool) or not isinstance(stated, int | float) or stated < 0:
        return None
    return float(min(stated, _DAY_SECONDS))  # an integer may be too large for a float


def read_rate_limits(headers: Mapping[str, str], now: datetime) -> RateLimits:
    """The rate limits that the headers contain.

    Sources: draft-ietf-httpapi-ratelimit-headers (`RateLimit: remaining=0, reset=5`, later `"default";r=0;t=5` with
    `RateLimit-Policy: "default";q=100`), and the older `RateLimit-Limit`, `-Remaining` and `-Reset`, also with `X-`.
    """
    text = f"{headers.get('ratelimit', '')} {headers.get('ratelimit-policy', '')}"
    found = {name.lower(): int(number[:9]) for name, number in reversed(_PARTS.findall(text))}
    limit = found.get("limit", found.get("q"))
    remaining, reset = found.get("remaining", found.get("r")), found.get("reset", found.get("t"))
    for prefix in ("ratelimit-", "x-ratelimit-"):
        if remaining is None:
            limit, remaining, reset = (_number(headers.get(prefix + word)) for word in ("limit", "remaining", "reset"))
    return RateLimits(limit, remaining, None if reset is None else _seconds(reset, now))


def _seconds(reset: int, now: datetime) -> float | None:
    """Some of the older forms name the time of day at which the period ends, in seconds since 1970."""
    if reset > _EPOCH:
        reset = int(reset - now.timestamp())
    return float(reset) if 0 < reset <= _DAY_SECONDS else None


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text[:12]) if text.isascii() and text.isdigit() else None
