"""Pauses before a model that fails is loaded again: longer after each failure in a row."""

import asyncio
from collections.abc import Callable
from typing import Final

from halley.replicas.host import Host


class RestartBackoff:
    """The failures of one model in a row, and the pause that follows the last one."""

    def __init__(self, host: Host, load: Callable[[], None]) -> None:
        """`load` is called at the end of a pause."""
        self._host: Final = host
        self._load: Final = load
        self.failures = 0  # in a row; the owner sets it to 0 when the model works
        self._ends_at = 0.0  # of the pause, on the monotonic clock
        self._waiting: asyncio.Task[None] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it is loaded again at the end of a pause."""
        return self._waiting is not None

    def failed(self) -> None:
        """Begin the next pause."""
        rules = self._host.rules
        pause = min(rules.backoff_most_seconds, rules.backoff_first_seconds * 2 ** min(self.failures, 16))
        self.failures += 1
        self._ends_at = self._host.clock.monotonic() + pause

    def wait(self) -> bool:
        """If a pause is not over, wait for its end and return True."""
        pause = self._ends_at - self._host.clock.monotonic()
        if pause <= 0:
            return False
        self._waiting = self._host.later(pause, self._over)
        return True

    def cancel(self) -> None:
        """Load nothing at the end of the pause."""
        if self._waiting is not None:
            self._waiting.cancel()

    def _over(self) -> None:
        self._waiting = None
        self._ends_at = 0.0
        self._load()
