"""Times and durations in words."""

from datetime import datetime

_MINUTE = 60
_HOUR = 3600
_DAY = 86_400


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Seconds from one time of the API to another, never below 0; None if one is missing or cannot be read."""
    if start is None or end is None:
        return None
    try:
        return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
    except (ValueError, TypeError):
        return None


def in_words(seconds: float | None) -> str:
    """A duration such as `0.25 s`, `12.4 s`, `3 min 20 s` or `2 d 4 h`; "" if it is not known."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds < 0.1 else f"{seconds:.2f} s"
    if seconds < _MINUTE - 0.05:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, name, below, smaller in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit} {name} {rest} {smaller}" if rest else f"{whole // unit} {name}"
    return f"{whole} s"


def size_in_words(size_bytes: int) -> str:
    """A size such as `812 bytes`, `5.9 KB` or `1.2 MB`; units of 1000."""
    if size_bytes < 1000:
        return f"{size_bytes} byte{'' if size_bytes == 1 else 's'}"
    size = float(size_bytes)
    for name in ("KB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {name}"
    return f"{size / 1000:.1f} TB"
