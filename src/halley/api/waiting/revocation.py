"""Requests that wait or stream end with the key that they came with, and when that key loses the scope they need.

A request's key is checked when it comes. What goes on after that is checked here: one look at the keys for all.
"""

from typing import Final, Protocol

from halley.clock import Clock
from halley.errors import NotAuthenticated
from halley.keys.records import Scope
from halley.keys.service import Keys

LOOK_SECONDS: Final = 2.0


class Revocable(Protocol):
    """What goes on under a key."""

    def revoke(self) -> None:
        """The key does not allow it any more. Called at every look until it is discarded."""
        ...


class RevocationWatch:
    """What goes on, by key id, and which scope each needs."""

    def __init__(self, *, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._open: dict[str, dict[Revocable, Scope]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def add(self, request: Revocable, key_id: str, needed: Scope) -> None:
        """From now on revoke it when this key has not this scope any more; until it is discarded."""
        self._open.setdefault(key_id, {})[request] = needed

    def discard(self, request: Revocable, key_id: str) -> None:
        """It is over; harmless if it was never added."""
        requests = self._open.get(key_id)
        if requests is not None:
            requests.pop(request, None)
            if not requests:
                del self._open[key_id]

    async def turn(self) -> None:
        """Wait for the time of the next look, and look."""
        await self._clock.sleep(LOOK_SECONDS)
        await self.look()

    async def look(self) -> None:
        """Revoke what came with keys that are revoked or gone, or have lost the scope."""
        if not self._open:
            return
        valid = await self._keys.valid_scopes(tuple(self._open))
        for key_id, requests in tuple(self._open.items()):
            scopes = valid.get(key_id, frozenset())
            for request, needed in tuple(requests.items()):
                if needed not in scopes and Scope.ADMIN not in scopes:
                    request.revoke()


def refusal() -> NotAuthenticated:
    """What a request is answered that was waiting when its key was revoked."""
    return NotAuthenticated("The API key of this request is not valid any more.")
