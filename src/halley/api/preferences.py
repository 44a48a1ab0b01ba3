"""The headers `Prefer` and `Cancel-After`. Source: contract section 6.1; RFC 7240."""

import re
from typing import Final

from halley.api.problems import invalid

_WAIT: Final = re.compile(r'wait(?:\s*=\s*"?(\d{1,9})"?)?', re.IGNORECASE | re.ASCII)
_ABANDONED: Final = re.compile(r'cancel-abandoned(?:\s*=\s*"?(true|false|1|0)"?)?', re.IGNORECASE | re.ASCII)
_LONGEST_WAIT_SECONDS: Final = 60
_DURATION: Final = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_SHORTEST_SECONDS: Final = 5
_LONGEST_SECONDS: Final = 86_400


def wait_seconds(prefer: str, max_seconds: float) -> float | None:
    """How long to hold the answer, or None if that was not asked.

    `wait` alone means 60 s; more is cut to 60; then to `max_seconds`. What makes no sense is ignored (contract D33),
    `respond-async` too: beside `wait` it changes nothing, alone it asks for what happens anyway.
    """
    if not prefer:
        return None
    for preference in prefer.split(","):
        match = _WAIT.fullmatch(preference.partition(";")[0].strip())
        if match is None:
            continue
        seconds = _LONGEST_WAIT_SECONDS if match[1] is None else min(int(match[1]), _LONGEST_WAIT_SECONDS)
        if seconds > 0:
            return min(float(seconds), max_seconds)
    return None


def cancel_abandoned(prefer: str) -> bool | None:
    """Whether the prediction is to be canceled when everybody has left; None if the caller does not say."""
    for preference in prefer.split(","):
        match = _ABANDONED.fullmatch(preference.partition(";")[0].strip())
        if match is not None:
            return match[1] is None or match[1].lower() in ("true", "1")
    return None


def applied(seconds: float | None, *, abandoned: bool | None = None) -> tuple[bytes, bytes]:
    """The header that tells which preferences were honoured, and how long a wait could be at most."""
    told = [] if seconds is None else [f"wait={seconds:g}"]
    if abandoned is not None:
        told.append("cancel-abandoned" if abandoned else "cancel-abandoned=false")
    return (b"preference-applied", ", ".join(told).encode())


def cancel_after_seconds(text: str | None) -> float | None:
    """The deadline that the caller sets, in seconds from creation: `90`, `30s`, `5m`, `2h`, `1h30m45s`.

    Raises:
        InputInvalid: none of these, or outside 5 s to 24 h.
    """
    if text is None:
        return None
    plain = text.strip()
    match = _DURATION.fullmatch(plain)
    if plain.isascii() and plain.isdigit() and len(plain) < 10:
        seconds = int(plain)
    elif plain and match is not None:
        seconds = sum(int(number or 0) * unit for number, unit in zip(match.groups(), (3600, 60, 1), strict=True))
    else:
        raise invalid("format", "Cancel-After", "use seconds, or a duration such as 30s, 5m, 2h or 1h30m45s")
    if not _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS:
        raise invalid("range", "Cancel-After", "must be between 5 seconds and 24 hours")
    return float(seconds)
