"""What a provider remembers of its service for people: the last errors, and how many submits had no clear answer."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from halley.clock import Clock
from halley.dispatch.upstreams import UpstreamFault
from halley.providers.replicate.answers import plain

_KEPT: Final = 10


class Journal:
    """The last faults, newest first. No text has the token."""

    def __init__(self, clock: Clock, token: str | None) -> None:
        self._clock = clock
        self._token = token
        self._faults: deque[UpstreamFault] = deque(maxlen=_KEPT)
        self.unknown = 0

    @property
    def faults(self) -> Sequence[UpstreamFault]:
        return tuple(self._faults)

    def note(self, text: str) -> None:
        """Remember an error; one that repeats the last only gets a new time."""
        fault = UpstreamFault(at=self._clock.now(), text=self.cleaned(text))
        if self._faults and self._faults[0].text == fault.text:
            self._faults.popleft()
        self._faults.appendleft(fault)

    def cleaned(self, text: str) -> str:
        """Foreign text for a message: one line, without our token."""
        return plain(text.replace(self._token, "[token]") if self._token else text)
