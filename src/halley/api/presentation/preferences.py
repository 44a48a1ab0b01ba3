"""The headers `Prefer` and `Cancel-After`. Source: contract section 6.1; RFC 7240."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from halley.api.presentation.problems import invalid

_LONGEST_FIELD: Final = 8192  # characters; a longer header is ignored
# the values between commas; commas inside quotes do not separate
_PREFERENCE: Final = re.compile(r'(?:[^",]++|"(?:[^"\\]++|\\.)*+"|")++')
_KNOWN_LENGTH: Final = 100  # characters
_SECONDS: Final = re.compile(r"0*+(\d*)(?:\.(\d*))?", re.ASCII)
_DIGITS: Final = 9  # of a number of seconds; larger ones are cut anyway
_YES: Final = ("", "true", "1")
_NO: Final = ("false", "0")
_LONGEST_WAIT_SECONDS: Final = 60
_DURATION: Final = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_SHORTEST_SECONDS: Final = 5
_LONGEST_SECONDS: Final = 86_400


def wait_seconds(prefer: str, max_seconds: float) -> float | None:
    """How long to hold the answer, or None if that was not requested.

    `wait` alone means 60 s; fractions are rounded up; more than 60 is cut to 60, then to `max_seconds`. Invalid values
    are ignored (contract D33), `respond-async` too: beside `wait` it changes nothing, and alone it asks for the
    default.
    """
    return (_known_wait if len(prefer) <= _KNOWN_LENGTH else _read_wait)(prefer, max_seconds)


def _read_wait(prefer: str, max_seconds: float) -> float | None:
    for value in _values(prefer, "wait"):
        if not value:  # RFC 7240: an empty value is none
            return min(float(_LONGEST_WAIT_SECONDS), max_seconds)
        number = _SECONDS.fullmatch(value)
        if number is not None:
            whole, part = number.groups(default="")
            seconds = _LONGEST_WAIT_SECONDS if len(whole) > _DIGITS else int(whole or 0) + bool(part.strip("0"))
            if seconds > 0:
                return min(float(min(seconds, _LONGEST_WAIT_SECONDS)), max_seconds)
    return None


def cancel_abandoned(prefer: str) -> bool | None:
    """Whether the prediction is canceled when all waiting clients have disconnected; None if the caller does
    not say.
    """
    return (_known_abandoned if len(prefer) <= _KNOWN_LENGTH else _read_abandoned)(prefer)


def _read_abandoned(prefer: str) -> bool | None:
    for value in _values(prefer, "cancel-abandoned"):
        if value.lower() in _YES + _NO:
            return value.lower() in _YES
    return None


# nearly all callers send one of a few short headers
_known_wait: Final = lru_cache(maxsize=1024)(_read_wait)
_known_abandoned: Final = lru_cache(maxsize=1024)(_read_abandoned)


def _values(prefer: str, name: str) -> Iterator[str]:
    """The value of each preference of this name, without quotes; "" if there is no value."""
    if len(prefer) > _LONGEST_FIELD:
        return
    for preference in _PREFERENCE.findall(prefer):
        word, _, value = preference.partition(";")[0].partition("=")
        if word.strip().lower() == name:
            value = value.strip()
            yield value[1:-1].strip() if len(value) > 1 and value[0] == value[-1] == '"' else value


@lru_cache(maxsize=1024)
def applied(seconds: float | None, *, abandoned: bool | None = None) -> tuple[bytes, bytes]:
    """The header that says which preferences were applied, and how long a wait could be at most."""
    applied_values = [] if seconds is None else [f"wait={seconds:g}"]
    if abandoned is not None:
        applied_values.append("cancel-abandoned" if abandoned else "cancel-abandoned=false")
    return (b"preference-applied", ", ".join(applied_values).encode())


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
