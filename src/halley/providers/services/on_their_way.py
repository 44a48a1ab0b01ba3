"""Creates that are being sent to a service, by what makes them look the same there.

While one is sent, no other one that looks the same looks for its own run: it could find this one's.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class OnTheirWay:
    """Those of one provider."""

    def __init__(self) -> None:
        self._sending: Counter[bytes] = Counter()

    @contextmanager
    def sending(self, same: bytes) -> Iterator[None]:
        """While the block runs, such a create is sent."""
        self._sending[same] += 1
        try:
            yield
        finally:
            self._sending[same] -= 1
            if not self._sending[same]:
                del self._sending[same]

    def has(self, same: bytes) -> bool:
        """Whether such a create is being sent."""
        return same in self._sending
