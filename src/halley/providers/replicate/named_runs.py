"""Finds the run of a lost create by its webhook: the address has a token of this create, and the body names a run."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from halley.clock import Clock
from halley.dispatch.upstream_hooks import Hook
from halley.errors import ProviderBusy
from halley.providers.replicate.api import UpstreamApi, run_path
from halley.providers.replicate.creates import Create
from halley.providers.replicate.run_matching import RunMatch, match_run
from halley.providers.services.api import NOT_SHOWN
from halley.providers.services.verdicts import handle_of, is_handle
from halley.wakeable_sleep import WakeableSleep

LOOK_SECONDS: Final = 1.0  # between two requests for the same run

Taken = Callable[[Create, Sequence[str]], Awaitable[frozenset[str]]]
"""Which of these runs belong to other predictions of ours."""


class NamedRuns:
    """The runs that webhooks for one create have named. Each is checked at the service."""

    def __init__(self, create: Create, hook: Hook | None, *, api: UpstreamApi, taken: Taken, clock: Clock) -> None:
        """`hook` None: the create has no webhook."""
        self._create: Final = create
        self._hook: Final = hook
        self._api = api
        self._taken = taken
        self._clock = clock
        self._wrong: set[str] = set()

    @property
    def may_come(self) -> bool:
        """Whether a webhook may still name the run."""
        return self._hook is not None

    async def find(self) -> str | None:
        """The run that was named, if the service shows it and it can be the one of the create."""
        for handle in () if self._hook is None else tuple(self._hook.named):
            with suppress(ProviderBusy):  # asked again after the next wait
                if handle not in self._wrong and await self.is_ours(handle):
                    return handle
        return None

    async def until(self, seconds: float) -> str | None:
        """The run that a webhook names within so many seconds; None if there is none, or it cannot be the one."""
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            if (handle := await self.wait(min(left, LOOK_SECONDS))) is not None:
                return handle
        return None

    async def wait(self, seconds: float) -> str | None:
        """Wait so long for a webhook; returns the run that it names, at once if there is one."""
        if self._hook is None:
            await self._clock.sleep(seconds)
            return None
        sleep = WakeableSleep(self._clock)
        count = len(self._hook.named)
        self._hook.listen(sleep.ring)
        try:
            end = self._clock.monotonic() + seconds
            while len(self._hook.named) == count and (left := end - self._clock.monotonic()) > 0:
                await sleep.sleep(left)
        finally:
            self._hook.leave(sleep.ring)
        return await self.find()

    async def is_ours(self, handle: str) -> bool:
        """Whether the service shows this run now, and it can be the one of the create.

        Raises:
            ProviderBusy: the service cannot be asked now.
        """
        if not is_handle(handle):
            self._wrong.add(handle)
            return False
        row = await self._api.get(run_path(handle), absent=NOT_SHOWN)
        if row is None:
            return False  # a service may show a run later than its webhook arrives
        given = msgspec.json.decode(self._create.input)
        is_ours = (
            handle_of(row) == handle
            and match_run(self._create, given, dict(row)) is not RunMatch.NONE
            and handle not in await self._taken(self._create, [handle])
        )
        if not is_ours:
            self._wrong.add(handle)
        return is_ours
