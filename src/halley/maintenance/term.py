"""The time in which this process has a duty, and services that run only then."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from halley.errors import DutyLost
from halley.predictions.duties import Duty

OnDuty = Callable[[Duty | None], Coroutine[Any, Any, None]]
"""A service that runs until it is cancelled, and may be started again after that. Its writes carry the duty."""


class Term:
    """Who waits for its begin or its end is told; both may come many times."""

    def __init__(self) -> None:
        self.duty: Duty | None = None
        self._changed = asyncio.Event()

    def set(self, duty: Duty | None) -> None:
        """This process has the duty from now on, or (None) does not have it any more."""
        if duty != self.duty:
            self.duty = duty
            self._changed.set()
            self._changed = asyncio.Event()

    async def run(self, service: OnDuty) -> None:
        """Wait until there is a duty, and run the service until that is lost."""
        while (duty := self.duty) is None:
            await self._changed.wait()
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(service(duty))
                while self.duty == duty:
                    await self._changed.wait()
                running.cancel()
        except* DutyLost:  # the store knew it first
            pass
