"""Time as a dependency. The only module that reads the system's clock."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Protocol

import msgspec

_BOOT_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)  # Linux: counts during sleep, is never set
_encode: Final = msgspec.json.Encoder().encode
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """The operations on time that the domain may use."""

    def now(self) -> datetime:
        """Wall-clock time, aware, in UTC: for records. It may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never decrease: for deadlines on this machine."""
        ...

    def elapsed(self) -> float:
        """Seconds that never decrease and also count while the machine sleeps, if the system supports it."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a fake clock waits until a test moves it."""
        ...


class SystemClock:
    """The machine's own clock."""

    # read some twenty times for each prediction: no calls of our own in between
    now = staticmethod(partial(datetime.now, UTC))
    monotonic = staticmethod(time.monotonic)
    elapsed = staticmethod(time.monotonic if _BOOT_CLOCK is None else partial(time.clock_gettime, _BOOT_CLOCK))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def to_micros(at: datetime) -> int:
    """Microseconds since the epoch: the stored form of times."""
    delta = at - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """The aware UTC time of `to_micros`."""
    return EPOCH + timedelta(microseconds=micros)


def rfc3339(at: datetime) -> str:
    """RFC 3339 with six fractional digits and `Z` (contract section 7). `at` must be in UTC."""
    text = _encode(at)[1:-1].decode()  # a sixth of the time of `isoformat`, which asks the time zone
    return text if at.microsecond else f"{text[:-1]}.000000Z"
