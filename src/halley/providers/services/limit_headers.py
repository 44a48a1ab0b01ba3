"""Reads the rate limits of a service from the headers of its answers."""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from math import inf
from typing import Any, Final, NamedTuple

from halley.egress import EgressResponse
from halley.providers.services.answers import Body

_PARTS: Final = re.compile(r"(?:^|[,;\s])(limit|remaining|reset|q|r|t)=\"?(\d+)", re.IGNORECASE)
_ITEM: Final = re.compile(r"(?:^|,)\s*\"([^\"]*)\"")  # how the limit of one policy begins
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
    `RateLimit-Policy: "default";q=100`, perhaps for several policies, of which the tightest counts), and the older
    `RateLimit-Limit`, `-Remaining` and `-Reset`, also with `X-`.
    """
    found = _tightest(headers.get("ratelimit", ""), headers.get("ratelimit-policy", ""))
    limit = found.get("limit", found.get("q"))
    remaining, reset = found.get("remaining", found.get("r")), found.get("reset", found.get("t"))
    for prefix in ("ratelimit-", "x-ratelimit-"):
        if remaining is None:
            limit, remaining, reset = (_number(headers.get(prefix + word)) for word in ("limit", "remaining", "reset"))
    return RateLimits(limit, remaining, None if reset is None else _seconds(reset, now))


def _tightest(limits: str, policies: str) -> dict[str, int]:
    """The parts of the policy that leaves the fewest requests; of two that leave as many, for the longest time."""
    of_policy = dict(_items(policies))
    found = [_parts(f"{text} {of_policy.get(name, policies)}") for name, text in _items(limits)]
    return min(found, key=_room, default={})


def _items(header: str) -> list[tuple[str, str]]:
    """The parts of each policy with its name; of a header without names as one."""
    first, *rest = _ITEM.split(header)
    return list(zip(rest[::2], rest[1::2], strict=True)) or [("", first)]


def _parts(text: str) -> dict[str, int]:
    return {name.lower(): int(number[:9]) for name, number in reversed(_PARTS.findall(text))}


def _room(parts: dict[str, int]) -> tuple[float, int]:
    left = parts.get("remaining", parts.get("r", inf))
    return left, -parts.get("reset", parts.get("t", 0))


def _seconds(reset: int, now: datetime) -> float | None:
    """Some of the older forms name the time of day at which the period ends, in seconds since 1970."""
    if reset > _EPOCH:
        reset = int(reset - now.timestamp())
    return float(reset) if 0 < reset <= _DAY_SECONDS else None


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text[:12]) if text.isascii() and text.isdigit() else None
