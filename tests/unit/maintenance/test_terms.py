"""Services that run while this process has a duty, where it is alone and where the store refuses it."""

import asyncio

import pytest

from halley.bus.local import LocalBus
from halley.errors import DutyLost, StorageFull
from halley.maintenance.maintainer import Maintainer
from halley.maintenance.rules import MaintenanceRules
from halley.maintenance.term import Term
from halley.models.catalog import Catalog
from halley.predictions.duties import Duty
from halley.store.memory import MemoryStore
from halley.testing.clock import FakeClock

pytestmark = pytest.mark.anyio

ONE = Duty(name="d", session_id="m1", fence=1)
NEXT = Duty(name="d", session_id="m1", fence=3)


class Service:
    """Runs until cancelled, or until it is told to fail."""

    def __init__(self) -> None:
        self.terms: list[Duty | None] = []
        self.fails: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_running = False

    async def __call__(self, duty: Duty | None) -> None:
        self.terms.append(duty)
        self.is_running = True
        try:
            await asyncio.shield(self.fails)
        finally:
            self.is_running = False


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_service_runs_from_the_begin_of_a_term_to_its_end() -> None:
    term, service = Term(), Service()
    running = asyncio.ensure_future(term.run(service))
    await settle()
    assert service.terms == []
    term.set(ONE)
    await settle()
    term.set(ONE)
    await settle()
    assert (service.terms, service.is_running) == ([ONE], True)
    term.set(NEXT)
    await running
    assert not service.is_running
    running = asyncio.ensure_future(term.run(service))
    await settle()
    term.set(None)
    await running
    assert service.terms == [ONE, NEXT]


async def test_a_service_that_hears_of_the_loss_first_ends_its_term() -> None:
    term, service = Term(), Service()
    term.set(ONE)
    service.fails.set_exception(DutyLost("another one has it"))
    await term.run(service)
    assert service.terms == [ONE]


async def test_a_service_that_breaks_is_not_hushed_up() -> None:
    term, service = Term(), Service()
    term.set(ONE)
    service.fails.set_exception(RuntimeError("planned"))
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await term.run(service)


class FullStore(MemoryStore):
    """Nobody can take a duty: its disk is full."""

    def hold_duty(self, *args: object, **named: object) -> object:  # type: ignore[override]
        raise StorageFull(f"no room for {args} {named}")


async def test_who_is_alone_serves_even_while_the_store_takes_nothing() -> None:
    """What removes old data must be able to make room."""
    clock = FakeClock()
    store = FullStore(clock=clock)
    maintainer = Maintainer(
        queue=store,
        catalog=Catalog(store),
        bus=LocalBus(),
        clock=clock,
        session_id="m1",
        rules=MaintenanceRules(),
        is_alone=True,
    )
    await maintainer.open()
    service = Service()
    running = asyncio.ensure_future(maintainer.while_on_duty(service))
    await settle()
    assert service.terms == [None]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await maintainer.release()  # harmless without a duty
