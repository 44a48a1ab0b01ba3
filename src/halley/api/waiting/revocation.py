"""Ends requests that wait or stream when their key is revoked, or loses the scope that they need.

A request's key is checked at its beginning. Requests that continue after that are checked here: one read of the keys
for all.
"""

from collections.abc import Callable
from typing import Final, Protocol

from halley.clock import Clock
from halley.errors import NotAuthenticated
from halley.keys.records import Scope
from halley.keys.service import Keys

LOOK_SECONDS: Final = 2.0


class Revocable(Protocol):
    """A request that continues under a key."""

    def revoke(self) -> None:
        """The key does not allow it any more. Called at every check until it is discarded."""
        ...


class RevocationWatch:
    """The continuing requests, by key id, with the scope that each needs."""

    def __init__(self, *, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._open: dict[str, dict[Revocable, Scope]] = {}
        self._before_look: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def add(self, request: Revocable, key_id: str, needed: Scope) -> None:
        """Revoke the request when this key loses this scope; until it is discarded."""
        self._open.setdefault(key_id, {})[request] = needed

    def before_look(self, add_others: Callable[[], None]) -> None:
        """Call this before each check: it adds requests that began a moment ago."""
        self._before_look.append(add_others)

    def discard(self, request: Revocable, key_id: str) -> None:
        """It has ended; does nothing if it was never added."""
        requests = self._open.get(key_id)
        if requests is not None:
            requests.pop(request, None)
            if not requests:
                del self._open[key_id]

    async def turn(self) -> None:
        """Wait until the next check is due, and check."""
        await self._clock.sleep(LOOK_SECONDS)
        await self.look()

    async def look(self) -> None:
        """Revoke requests whose keys are revoked or deleted, or have lost the scope."""
        for add_others in self._before_look:
            add_others()
        if not self._open:
            return
        asked = tuple(self._open)
        valid = await self._keys.valid_scopes(asked)
        for key_id in asked:  # only keys that were asked about; requests may be added while the store answers
            scopes = valid.get(key_id, frozenset())
            for request, needed in tuple(self._open.get(key_id, {}).items()):
                if needed not in scopes and Scope.ADMIN not in scopes:
                    request.revoke()


def refusal() -> NotAuthenticated:
    """The error for a request whose key was revoked while it waited."""
    return NotAuthenticated("The API key of this request is not valid any more.")
