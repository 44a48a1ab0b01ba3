"""The room of webhooks on memory: a clock that is moved, and a receiver that answers as it is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from halley.bus.local import LocalBus
from halley.errors import AddressRefused
from halley.ids import TimeOrderedIds
from halley.predictions.hints import Changed
from halley.predictions.queue import Lease
from halley.predictions.reading import PredictionReader
from halley.predictions.records import Prediction
from halley.predictions.status import Fact
from halley.retention.periods import Endless
from halley.store.memory import MemoryStore
from halley.store.sqlite import SqliteStore
from halley.testing.stores.maker import LEASE_SECONDS, VERSION, Maker
from halley.webhooks.address import Receivers
from halley.webhooks.admin import WebhookAdmin
from halley.webhooks.message_source import MessageSource
from halley.webhooks.monotonic_wall_clock import MonotonicWallClock
from halley.webhooks.ports import Posted
from halley.webhooks.records import Delivery
from halley.webhooks.sender import Sender
from halley.webhooks.service import WebhookRules, WebhookService
from halley.webhooks.signing import Signer

HOOK = "https://receiver.example/hook"
ROOT = b"r" * 32


async def settled(turns: int = 30) -> None:
    """Let everything that can run, run."""
    for _ in range(turns):
        await asyncio.sleep(0)


@dataclass
class Arrived:
    """A message as it arrived."""

    at: float
    url: str
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """A sender with a receiver behind it. `answers` are given in turn, then `always`; a closed gate holds answers."""

    clock: Any
    answers: list[int | Exception | Posted] = field(default_factory=list)
    always: int | Exception = 200
    arrived: list[Arrived] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    gates: dict[str, asyncio.Event] = field(default_factory=dict)  # by URL

    def check_url(self, url: str) -> None:
        if "10.0.0." in url:
            raise AddressRefused("The address is private.")

    async def post(self, url: str, *, headers: Sequence[tuple[str, str]], content: bytes, **_: float) -> Posted:
        self.arrived.append(Arrived(self.clock.monotonic(), url, dict(headers), content))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            gate = self.gates.get(url)
            if gate is not None:
                await gate.wait()
        finally:
            self.under_way -= 1
        answer = self.answers.pop(0) if self.answers else self.always
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Posted) else Posted(status=answer, headers={}, body=b"said")


class Plain:
    """Pictures with little in them."""

    async def encoded(self, row: Prediction, link_base: str | None) -> bytes:
        shown = {
            "id": row.id,
            "status": row.status.value,
            "output": json.loads(row.output or b"null"),
            "logs": row.logs,
            "base": link_base,
        }
        return json.dumps(shown).encode()


class Room:
    """Everything a test needs to make things happen and to see what is told."""

    def __init__(self, store: MemoryStore | SqliteStore | None = None, **rules: Any) -> None:
        self.maker = Maker()
        self.clock = self.maker.clock
        self.store: Any = store or MemoryStore(clock=self.clock)
        self.bus = LocalBus()
        self.receiver = Receiver(self.clock)
        self.rules = WebhookRules(**rules)
        self.new_id = TimeOrderedIds(self.clock)
        self._count = 0
        self._leases: dict[str, Lease] = {}
        self._running: asyncio.Task[None] | None = None
        self._open()

    def _open(self) -> None:
        """Build what a process has."""
        self.pause_clock = MonotonicWallClock(self.clock)
        self.signer = Signer(ROOT, self.store.deliveries, self.clock)
        self.desk = WebhookAdmin(
            store=self.store.deliveries,
            signer=self.signer,
            receivers=Receivers(self.receiver, limit_bytes=2048, http=False, is_loopback_open=False),
            reader=PredictionReader(store=self.store, data_ends=Endless(), clock=self.clock),
            bus=self.bus,
            pause_clock=self.pause_clock,
            new_id=self.new_id,
            overlap_seconds=86_400,
        )
        self.webhooks = self.service()

    def service(self, deliveries: Any = None) -> WebhookService:
        """With deliveries of its own, if given."""
        deliveries = deliveries or self.store.deliveries
        return WebhookService(
            store=deliveries,
            source=MessageSource(
                reader=PredictionReader(store=self.store, data_ends=Endless(), clock=self.clock), pictures=Plain()
            ),
            sender=Sender(
                store=deliveries,
                signer=self.signer,
                http_sender=self.receiver,
                clock=self.clock,
                new_id=self.new_id,
                limits=self.rules.of_one_attempt,
            ),
            pause_clock=self.pause_clock,
            new_id=self.new_id,
            chance=lambda low, high: (low + high) / 2,
            rules=self.rules,
        )

    async def settle(self) -> None:
        """Let everything be done that can be done now."""
        await settled()

    async def begin(self) -> None:
        """Run the service; one that was killed before is replaced."""
        self.bus._receivers.clear()
        self._open()
        self.bus.subscribe(self.webhooks.receive)
        self._running = asyncio.create_task(self.webhooks.run())
        await self.settle()

    async def kill(self) -> None:
        """End it as a crash would: nothing is written any more."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    @property
    def has_crashed(self) -> bool:
        return self._running is not None and self._running.done()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, from one sleeper's end to the next, with everything done that comes due."""
        end = self.clock.monotonic() + seconds
        await self.settle()
        while (at := self._next_at()) <= end:
            self.clock.advance(max(at - self.clock.monotonic(), 0.0) + 1e-6)
            await self.settle()
        self.clock.advance(max(end - self.clock.monotonic(), 0.0))
        await self.settle()

    def _next_at(self) -> float:
        return min((at for at, _, future in self.clock._sleepers if not future.done()), default=float("inf"))

    # the life of a prediction

    async def create(self, hook: str | None = HOOK, events: tuple[str, ...] | None = None, **members: Any) -> str:
        new = self.maker.new(webhook=hook, webhook_events_filter=events, **members)
        await self.store.create(new)
        return new.prediction.id

    async def start(self, prediction_id: str, *, tell: bool = True) -> None:
        self._count += 1
        session = f"s{self._count}"
        await self.store.open_session(session, self.clock.now(), LEASE_SECONDS)
        for claimed in await self.store.claim(session, {VERSION: 1000}, self.clock.now()):
            self._leases[claimed.prediction.id] = claimed.lease
        if tell:
            await self.say(prediction_id, self.maker.started())

    async def say(self, prediction_id: str, *events: Any) -> None:
        await self.store.append_events(self._leases[prediction_id], events)
        self.bus.publish(Changed(prediction_id))
        await self.settle()

    async def finish(self, prediction_id: str, *events: Any, fact: Fact = Fact.SUCCEEDED) -> None:
        await self.store.finish(self._leases[prediction_id], fact, self.clock.now(), events=events)
        self.bus.publish(Changed(prediction_id))
        await self.settle()

    async def done(self, hook: str | None = HOOK, **members: Any) -> str:
        """A prediction that began and ended in one breath."""
        prediction_id = await self.create(hook, **members)
        await self.start(prediction_id, tell=False)
        await self.finish(prediction_id, self.maker.started(), self.maker.output("done"))
        return prediction_id

    # what was told

    @property
    def told(self) -> list[Arrived]:
        return self.receiver.arrived

    @property
    def statuses(self) -> list[str]:
        return [arrived.body["status"] for arrived in self.told]

    async def log(self, **query: Any) -> list[Delivery]:
        """The delivery log, oldest first."""
        return (await self.store.deliveries.page("anna", limit=1000, **query))[::-1]


@pytest.fixture
async def room(anyio_backend: str) -> AsyncIterator[Room]:
    room = Room()
    await room.begin()
    yield room
    if not room.has_crashed:
        await room.kill()
