"""Two maintainers on one store: one at a time acts, the other takes over, and the late one writes nothing."""

import asyncio

import pytest

from halley.bus.local import LocalBus
from halley.errors import DutyLost
from halley.maintenance.maintainer import Maintainer
from halley.maintenance.rules import MaintenanceRules
from halley.models.catalog import Catalog
from halley.predictions.status import Status
from halley.store.memory import MemoryStore
from halley.testing.stores.maker import VERSION, Maker, row_of

pytestmark = pytest.mark.anyio


def maintainer(store: MemoryStore, maker: Maker, name: str) -> Maintainer:
    return Maintainer(
        queue=store,
        catalog=Catalog(store),
        bus=LocalBus(),
        clock=maker.clock,
        session_id=name,
        rules=MaintenanceRules(),
        is_alone=False,
    )


async def late_write(store: MemoryStore, maker: Maker) -> None:
    """The first one is paused between its look at the duty and its write, and the second one takes over."""
    first, second = maintainer(store, maker, "m1"), maintainer(store, maker, "m2")
    duty = await first._hold()
    assert duty is not None
    assert await second._hold() is None
    maker.clock.advance(21)
    assert await second._hold() is not None
    with pytest.raises(DutyLost):
        await first._maintain(duty)


async def test_the_late_one_writes_nothing() -> None:
    maker = Maker()
    await late_write(MemoryStore(clock=maker.clock), maker)


async def test_planted_bug_a_maintainer_that_acts_after_it_lost_its_lease_is_found() -> None:
    maker = Maker()
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await late_write(MemoryStore(clock=maker.clock, unfenced=True), maker)


async def test_what_nobody_offers_ends_after_a_time_and_what_somebody_offers_waits() -> None:
    maker = Maker()
    store = MemoryStore(clock=maker.clock)
    one = maintainer(store, maker, "m1")
    waits = (await store.create(maker.new())).prediction
    await store.open_session("w", maker.clock.now(), 1e6, offers=[VERSION])
    duty = await one._hold()
    assert duty is not None
    for offers, status in (([VERSION], Status.STARTING), ([], Status.FAILED)):
        await store.renew("w", maker.clock.now(), 1e6, offers=offers)
        await one._maintain(duty)
        assert (await row_of(store, waits.id)).status is Status.STARTING
        maker.clock.advance(61)
        await one._maintain(duty)
        await asyncio.sleep(0)
        assert (await row_of(store, waits.id)).status is status
