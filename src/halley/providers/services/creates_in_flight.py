"""Creates that are being sent to a service, by a fingerprint: two creates with the same one look the same there.

While a create is sent, no other prediction with the same fingerprint searches for its own run in the list of the
service: it could find the run of this create.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class CreatesInFlight:
    """The creates of one provider."""

    def __init__(self) -> None:
        self._sending: Counter[bytes] = Counter()

    @contextmanager
    def sending(self, fingerprint: bytes) -> Iterator[None]:
        """While the block runs, a create with this fingerprint is sent."""
        self._sending[fingerprint] += 1
        try:
            yield
        finally:
            self._sending[fingerprint] -= 1
            if not self._sending[fingerprint]:
                del self._sending[fingerprint]

    def has(self, fingerprint: bytes) -> bool:
        """Whether a create with this fingerprint is being sent."""
        return fingerprint in self._sending
