"""The time during which this process has a duty, and services that run only then."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from halley.errors import DutyLost
from halley.predictions.duties import Duty

OnDuty = Callable[[Duty | None], Coroutine[Any, Any, None]]
"""A service that runs until it is cancelled, and may be started again. Its writes carry the duty."""


class Term:
    """Signals the beginning and the end of the duty; both may occur many times."""

    def __init__(self) -> None:
        self.duty: Duty | None = None
        self._changed = asyncio.Event()

    def set(self, duty: Duty | None) -> None:
        """This process has the duty from now on, or (None) has lost it."""
        if duty != self.duty:
            self.duty = duty
            self._changed.set()
            self._changed = asyncio.Event()

    async def run(self, service: OnDuty) -> None:
        """Wait until there is a duty, and run the service until it is lost."""
        while (duty := self.duty) is None:
            await self._changed.wait()
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(service(duty))
                while self.duty == duty:
                    await self._changed.wait()
                running.cancel()
        except* DutyLost:  # the store noticed it first
            pass
