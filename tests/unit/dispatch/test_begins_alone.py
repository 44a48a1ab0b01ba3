"""A process that finds nobody else on the data takes the duty and all work at once; later it is one of several."""

from typing import Any

import pytest

from halley.bus.local import LocalBus
from halley.errors import StorageFull
from halley.maintenance.maintainer import Maintainer
from halley.maintenance.rules import MaintenanceRules
from halley.models.catalog import Catalog
from halley.predictions.duties import MAINTENANCE
from halley.predictions.status import Status
from halley.store.memory import MemoryStore
from halley.testing.clock import FakeClock
from halley.testing.stores.maker import Maker, row_of

pytestmark = pytest.mark.anyio
LEASE_SECONDS = 1000.0
LOST, OURS, THEIRS = "l" * 26, "o" * 26, "t" * 26


class World:
    """A store in which a process that is gone held the duty and ran something, with leases that last for long."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(clock=self.clock)

    async def fill(self) -> str:
        await self.store.open_session(LOST, self.clock.now(), LEASE_SECONDS, offers=frozenset())
        await self.store.hold_duty(MAINTENANCE, LOST, self.clock.now(), LEASE_SECONDS)
        new = Maker().new()
        await self.store.create(new)
        await self.store.claim(LOST, {new.prediction.version: 1}, self.clock.now())
        return new.prediction.id

    def maintainer(self, session_id: str, *, begins_alone: bool) -> Maintainer:
        return Maintainer(
            queue=self.store,
            catalog=Catalog(self.store),
            bus=LocalBus(),
            clock=self.clock,
            session_id=session_id,
            rules=MaintenanceRules(lease_seconds=LEASE_SECONDS),
            is_alone=False,
            begins_alone=begins_alone,
        )

    async def is_taken_back(self, prediction_id: str) -> bool:
        waiting = await self.store.waiting()
        return bool(waiting) and (await row_of(self.store, prediction_id)).status is Status.STARTING


async def test_who_is_alone_takes_duty_and_work_at_once_and_others_leave_them() -> None:
    world = World()
    made = await world.fill()
    other = world.maintainer(THEIRS, begins_alone=False)
    await other.open()
    assert not other.is_on_duty
    assert not await world.is_taken_back(made)
    first = world.maintainer(OURS, begins_alone=True)
    await first.open()
    assert first.is_on_duty
    assert await world.is_taken_back(made)


async def test_if_nothing_could_be_written_at_the_start_it_waits_for_the_leases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    made = await world.fill()

    async def refuse(*_: Any, **__: Any) -> Any:
        raise StorageFull("There is no room.")

    maintainer = world.maintainer(OURS, begins_alone=True)
    with monkeypatch.context() as patched:
        patched.setattr(world.store, "hold_duty", refuse)
        await maintainer.open()
    await maintainer._begin()
    await maintainer._hold()
    assert not maintainer.is_on_duty, "others may have started since"
    assert not await world.is_taken_back(made)
