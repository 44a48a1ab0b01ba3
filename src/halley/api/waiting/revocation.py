"""Answers that stay open for long end with the key that opened them, or with its scope or account.

A request's key is checked when it comes; what goes on after that is looked after here: one look for all open answers.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, Self

from halley.api.http.asgi import Scope as AsgiScope
from halley.api.waiting.holds import SCOPE_KEY
from halley.clock import Clock
from halley.errors import NotAuthenticated
from halley.keys.records import Scope
from halley.keys.service import Keys

LOOK_SECONDS: Final = 2.0

Carrier = tuple[str, Scope]
"""The key that an answer leans on, and what it must be allowed for that."""


class OpenAnswer:
    """What one open answer leans on. `end` is called once, when its key does not carry it any more.

    A context manager: let go at the end of its block.
    """

    __slots__ = ("_end", "_rights", "is_over", "key_id", "needed")

    def __init__(self, rights: "RevocationWatch", key_id: str, needed: Scope, end: Callable[[], None]) -> None:
        self._rights = rights
        self._end = end
        self.key_id = key_id
        self.needed = needed
        self.is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def finish(self) -> None:
        """Its key does not carry it any more."""
        self.is_over = True
        self._end()

    def let_go(self) -> None:
        """The answer is over; harmless if it was before."""
        self._rights.forget(self)


class RevocationWatch:
    """All open answers, by key."""

    def __init__(self, *, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._open: dict[str, dict[OpenAnswer, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def lean(self, key_id: str, needed: Scope, end: Callable[[], None]) -> OpenAnswer:
        """From now on call `end` when this key has not this scope any more; until it is let go."""
        right = OpenAnswer(self, key_id, needed, end)
        self._open.setdefault(key_id, {})[right] = None
        return right

    def forget(self, right: OpenAnswer) -> None:
        """See `OpenAnswer.let_go`."""
        rights = self._open.get(right.key_id)
        if rights is not None:
            rights.pop(right, None)
            if not rights:
                del self._open[right.key_id]

    def streaming(self, scope: AsgiScope, carrier: Carrier | None) -> OpenAnswer:
        """For the time of its block: the hold of a stream is released when its key does not carry it any more.

        Without a key it leans on nothing.
        """
        if carrier is None:
            return OpenAnswer(self, "", Scope.READ, _nothing)
        return self.lean(*carrier, partial(_release, scope))

    async def turn(self) -> None:
        """Wait for the time of the next look, and look."""
        await self._clock.sleep(LOOK_SECONDS)
        await self.look()

    async def look(self) -> None:
        """End what leans on keys that are revoked or gone, or have lost the scope."""
        if not self._open:
            return
        valid = await self._keys.valid_scopes(tuple(self._open))
        for key_id, rights in tuple(self._open.items()):
            scopes = valid.get(key_id, frozenset())
            for right in tuple(rights):
                if not right.is_over and right.needed not in scopes and Scope.ADMIN not in scopes:
                    right.finish()


def refusal() -> NotAuthenticated:
    """What somebody is told who waited meanwhile."""
    return NotAuthenticated("The API key of this request is not valid any more.")


def _nothing() -> None:
    """It ends with nothing."""


def _release(scope: AsgiScope) -> None:
    hold = scope.get(SCOPE_KEY)
    if hold is not None:
        hold.release()
