"""The catalog of a process without a worker: what sessions offer, with schemas from the store."""

from datetime import timedelta
from typing import Final

import pytest

from halley.app.without_worker import OfferedModels
from halley.errors import Overloaded, VersionUnknown
from halley.models.catalog import Catalog
from halley.models.records import Model, Version
from halley.store.memory import MemoryStore
from halley.testing.clock import T0, FakeClock

pytestmark = pytest.mark.anyio
SCHEMA: Final = b'{"components":{"schemas":{"Input":{"type":"object","properties":{}},"Output":{"type":"string"}}}}'
KEPT_SECONDS: Final = 60.0
OLD, NEW, OTHER = "1" * 64, "2" * 64, "3" * 64


class World:
    """A store that workers have registered models in, and the catalog of an API server."""

    def __init__(self) -> None:
        self.clock = FakeClock(T0)
        self.store = MemoryStore(clock=self.clock)
        self.catalog = Catalog(self.store)
        self.offered = OfferedModels(self.store, self.catalog, self.clock, kept_seconds=KEPT_SECONDS)

    async def register(self, version: str, model: str = "acme/print", after: float = 0.0) -> None:
        owner, _, name = model.partition("/")
        at = T0 + timedelta(seconds=after)
        await self.store.put_model(Model(owner=owner, name=name, created_at=at))
        await self.store.put_version(Version(id=version, model=model, created_at=at, openapi_schema=SCHEMA))

    async def offer(self, *versions: str, session: str = "s" * 26) -> None:
        await self.store.open_session(session, self.clock.now(), 1e6, offers=frozenset(versions))

    def latest(self, model: str = "acme/print") -> str:
        return self.catalog.resolve(model).version.id


async def test_what_a_worker_offers_can_be_asked_for() -> None:
    world = World()
    await world.register(OLD)
    await world.offered.open([])
    with pytest.raises(VersionUnknown):
        world.latest()
    await world.offer(OLD)
    await world.offered.look()
    assert world.latest() == OLD
    assert world.catalog.described() == {OLD}


async def test_the_newest_version_that_somebody_offers_is_the_latest() -> None:
    world = World()
    await world.register(OLD)
    await world.register(NEW, after=5)
    await world.offer(OLD)
    await world.offered.open([])
    assert world.latest() == OLD
    await world.offer(NEW, session="t" * 26)
    await world.offered.look()
    assert world.latest() == NEW
    assert world.catalog.resolve(OLD).version.id == OLD, "another worker offers it still"


async def test_what_the_configuration_names_is_accepted_from_the_start_and_not_for_ever() -> None:
    world = World()
    await world.register(OLD)
    await world.register(OTHER, "acme/other")
    await world.offered.open(["acme/print", "acme/new"])
    assert world.latest() == OLD
    for late in ("acme/other", "acme/new"):  # workers may only be late
        with pytest.raises(Overloaded):
            world.latest(late)
    world.clock.advance(KEPT_SECONDS + 1)
    await world.offered.look()
    for gone in ("acme/print", "acme/other", "acme/new"):
        with pytest.raises(VersionUnknown):
            world.latest(gone)


async def test_what_nobody_offers_any_more_stays_for_a_while() -> None:
    world = World()
    await world.register(OLD)
    await world.offer(OLD)
    await world.offered.open(["acme/print"])
    await world.offer()
    world.clock.advance(KEPT_SECONDS - 1)
    await world.offered.look()
    assert world.latest() == OLD
    world.clock.advance(2)
    await world.offered.look()
    with pytest.raises(VersionUnknown):
        world.latest()
    await world.offer(OLD)
    await world.offered.look()
    assert world.latest() == OLD
