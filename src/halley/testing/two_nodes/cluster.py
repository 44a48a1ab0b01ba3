"""Two processes of each role on one store, and their clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from halley.predictions.records import Prediction
from halley.predictions.repeats import IdempotencyKey
from halley.predictions.service import CreateRequest
from halley.predictions.status import EventKind
from halley.store.ports import Store
from halley.testing.clock import FakeClock
from halley.testing.stores.maker import Maker
from halley.testing.two_nodes.nodes import ApiNode, MaintainerNode, WorkerNode
from halley.testing.upstream import RemoteProvider

Barrier = Callable[[], Awaitable[None]]
"""Returns when both stores have done all earlier calls."""

STEP_SECONDS: Final = 0.25
_ROUNDS: Final = 6  # of calls that follow from each other, within one step
KNOWN: Final = "a" * 64
OTHER: Final = "b" * 64
ACCOUNT: Final = "ada"


class Cluster:
    """The processes. Those on the first store have even numbers, those on the second one odd ones."""

    def __init__(self, stores: tuple[Store, Store], maker: Maker, barrier: Barrier) -> None:
        self.stores = stores
        self.clock = maker.clock
        self.new_id = maker.new_id
        self._barrier = barrier
        self.apis = [ApiNode(store, self.clock, self.new_id) for store in stores]
        self.workers = [WorkerNode(store, self.clock, self.new_id) for store in stores]
        self.maintainers = [MaintainerNode(store, self.clock, self.new_id) for store in stores]

    async def open(self) -> None:
        """Both API servers accept both versions; the workers offer none yet. The first maintainer is on duty."""
        for api in self.apis:
            await api.open([KNOWN, OTHER])
        first, second = self.maintainers
        await first.open()
        await self.until(lambda: first.maintainer.is_on_duty, 2.0)
        await second.open()

    async def close(self) -> None:
        for process in (*self.apis, *self.workers, *self.maintainers):
            await process.gone()

    def add_worker(self, store: int, provider: RemoteProvider) -> WorkerNode:
        """A worker that submits its predictions to an upstream service."""
        node = WorkerNode(self.stores[store], self.clock, self.new_id, provider)
        provider.listen(on_capacity=node.worker.on_capacity, on_broken=node.worker.broken)
        self.workers.append(node)
        return node

    @property
    def on_duty(self) -> list[int]:
        """The numbers of the processes that believe to have the duty."""
        return [number for number, one in enumerate(self.maintainers) if one.maintainer.is_on_duty]

    async def create(
        self, api: int = 0, version: str = KNOWN, key: IdempotencyKey | None = None, **more: Any
    ) -> Prediction:
        request = CreateRequest(reference=version, input={}, input_json=b"{}", **more)
        created = await self.apis[api].predictions.create(request, ACCOUNT, "key", idempotency=key)
        return created.prediction

    async def row(self, prediction_id: str, store: int = 0) -> Prediction:
        row = await self.stores[store].get(prediction_id)
        assert row is not None
        return row

    async def count(self, prediction_id: str, kind: EventKind) -> int:
        return [event.kind for event in await self.stores[0].read_events(prediction_id)].count(kind)

    # time

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps; in each, all due work is done."""
        for _ in range(round(seconds / STEP_SECONDS)):
            self.clock.advance(STEP_SECONDS)
            await self.settle()

    async def settle(self) -> None:
        """Run everything that does not wait for time."""
        for _ in range(_ROUNDS):
            for _ in range(4):
                await asyncio.sleep(0)
            await self._barrier()

    async def until(self, is_so: Callable[[], bool], within: float) -> float:
        """Let time pass until the condition is true; returns how long that took. Fails after `within` seconds."""
        passed = 0.0
        await self.settle()
        while not is_so():
            assert passed < within, f"not so after {within} s"
            await self.pass_time(STEP_SECONDS)
            passed += STEP_SECONDS
        return passed

    async def until_ended(self, prediction_id: str, within: float) -> Prediction:
        """The prediction after its end."""
        passed = 0.0
        while not (row := await self.row(prediction_id)).is_terminal:
            assert passed < within, f"not over after {within} s"
            await self.pass_time(STEP_SECONDS)
            passed += STEP_SECONDS
        return row


@contextmanager
def loop_time(clock: FakeClock) -> Iterator[None]:
    """Timers of the loop use this clock, too."""
    loop: Any = asyncio.get_running_loop()
    loop.time = clock.monotonic
    try:
        yield
    finally:
        del loop.time


@pytest.mark.anyio
class ClusterSuite:
    """The fixtures of the suites. Provide `stores`: two on one database, whose clock is that of `maker`; and
    `barrier`.
    """

    @pytest.fixture
    def maker(self) -> Maker:
        return Maker()

    @pytest.fixture
    def stores(self) -> tuple[Store, Store]:
        raise NotImplementedError

    @pytest.fixture
    def barrier(self) -> Barrier:
        raise NotImplementedError

    @pytest.fixture
    async def cluster(self, stores: tuple[Store, Store], maker: Maker, barrier: Barrier) -> AsyncIterator[Cluster]:
        with loop_time(maker.clock):
            cluster = Cluster(stores, maker, barrier)
            await cluster.open()
            yield cluster
            await cluster.close()
