"""A whole API on memory: real services, memory adapters, a clock that moves only when told. And a tiny ASGI client."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from halley.api.application import Api
from halley.api.context import ApiContext
from halley.api.dependencies import Content, HealthChecks, LocalModels, PredictionUseCases, UpstreamViews, UseCases
from halley.api.http.asgi import DeferredResponse, Outcome, Response
from halley.api.protocol import leave
from halley.assets.blob_references import BlobReferences
from halley.assets.files import Files
from halley.assets.inputs import InputFileStager, StagingRules
from halley.assets.links import LinkSigner
from halley.assets.own_links import OwnFiles
from halley.blobs.files import FileBlobs
from halley.blobs.memory import MemoryBlobs
from halley.bulk.executor import BulkExecutor
from halley.bulk.item_actions import ItemActions
from halley.bulk.permissions import may_act
from halley.bulk.service import BulkActions
from halley.bus.local import LocalBus
from halley.clock import Clock
from halley.dispatch.upstream_hooks import UpstreamHint
from halley.egress import AddressRules, Egress
from halley.ids import NewId, TimeOrderedIds
from halley.keys.records import DEFAULT_SCOPES
from halley.keys.service import Keys
from halley.keys.sign_ins import SignIns
from halley.models.catalog import Catalog
from halley.models.records import Model, Version
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.hints import Changed
from halley.predictions.inputs import InputCheck
from halley.predictions.key_usage import KeyUsages
from halley.predictions.overview import Overview
from halley.predictions.ports import Created, NewPrediction
from halley.predictions.progress_cache import ProgressCache
from halley.predictions.queue import Lease
from halley.predictions.reading import PredictionReader
from halley.predictions.records import Event, NewEvent, OutputFile, OutputItem, Prediction
from halley.predictions.running_again import Reruns
from halley.predictions.service import Admission, Predictions
from halley.predictions.status import EventKind, Fact
from halley.predictions.unknown_outcomes import RetryCheck, UnknownOutcomes
from halley.retention.periods import Periods
from halley.retention.service import RetentionService
from halley.settings import CollectionSettings, Settings
from halley.store.memory import MemoryStore
from halley.testing.clock import FakeClock
from halley.threads import MadeOnce
from halley.web.build import build_dashboard
from halley.web.permalink import HtmlPages
from halley.webhooks.address import Receivers
from halley.webhooks.admin import WebhookAdmin
from halley.webhooks.events import WebhookEvent
from halley.webhooks.monotonic_wall_clock import MonotonicWallClock
from halley.webhooks.records import Delivery, Message, completed_id
from halley.webhooks.signing import Signer

SECRET = b"files-secret"
SESSION = "session"
HOOK = "https://me:pw@receiver.example/hook?x=1"
HOOK_BODY = '{"id":"x","output":"é"}'.encode()


class CountingStore(MemoryStore):
    """Counts point reads and notes event reads, so that a test can tell an answer from the cache."""

    reads = 0

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        self.events_read: list[int] = []  # how many each time

    async def get(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        self.reads += 1
        return await super().get(prediction_id, account_id)

    async def read_events(
        self,
        prediction_id: str,
        after_seq: int = 0,
        limit: int = 1000,
        limit_bytes: int | None = None,
        *,
        with_data: bool = True,
    ) -> list[Event]:
        found = await super().read_events(prediction_id, after_seq, limit, limit_bytes, with_data=with_data)
        self.events_read.append(len(found))
        return found


class SlowStore(CountingStore):
    """Creates are done, or fail, when the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.fault: Exception | None = None

    def create(self, new: NewPrediction) -> Awaitable[Created]:
        return self._late(new)

    async def _late(self, new: NewPrediction) -> Created:
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return await super().create(new)


class NoPlacement:
    """No replica is free: everything waits until a test runs it."""

    def reserve(self, version: str, account_id: str) -> str | None:
        return None

    def begin(self, version: str, claimed: Any) -> None:
        raise AssertionError

    def give_up(self, version: str) -> None:
        raise AssertionError


def schema(
    properties: dict[str, Any],
    *,
    required: tuple[str, ...] = (),
    output: Any = None,
    more: dict[str, Any] | None = None,
) -> bytes:
    """An OpenAPI document as Cog writes it, with more schemas beside its own."""
    given = {"type": "object", "title": "Input", "properties": properties, "required": list(required)}
    schemas = {"Input": given, "Output": output or {"type": "string", "title": "Output"}, **(more or {})}
    return json.dumps({"openapi": "3.0.2", "components": {"schemas": schemas}}).encode()


TEXT = {"prompt": {"type": "string"}, "seed": {"type": "integer"}}
SCHEMAS = {
    "acme/echo": schema(TEXT, required=("prompt",)),
    "acme/free": schema({}, output={}),
    "acme/paint": schema(TEXT, output={"type": "string", "format": "uri"}),
    "acme/tokens": schema(TEXT, output={"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"}),
    "acme/frames": schema(
        TEXT, output={"type": "array", "items": {"type": "string", "format": "uri"}, "x-cog-array-type": "iterator"}
    ),
}


class Reply:
    """An answer, collected."""

    def __init__(self) -> None:
        self.status = 0
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode("latin-1") for name, value in self.raw_headers}

    def json(self) -> Any:
        return json.loads(self.body)


UNREAD = 499  # the status of an answer that no client gets


class Connection:
    """What the server knows of one request's connection, for tests that break it."""

    def __init__(self) -> None:
        self.scope: Any = {}
        self.response_complete = False
        self._is_lost = False
        self._parked: DeferredResponse | None = None
        self._given: asyncio.Future[Outcome] | None = None

    def lose(self, *, by_peer: bool = True, was_unsent: bool = False) -> None:
        """As the protocol does it; while the request is open, unless `response_complete` was set."""
        leave(self, by_peer=by_peer, was_unsent=was_unsent)  # type: ignore[arg-type]
        self._is_lost = True
        if self._parked is not None and self._given is not None and not self._given.done():
            self._parked.leave()
            self._given.set_result(Response(status=UNREAD))

    async def answer(self, api: Api, scope: Any, receive: Any, send: Any) -> None:
        """One request: a deferred answer is given up when the connection is lost."""
        exchange, answer = await api.begin(scope, receive)
        outcome: Outcome = answer
        if answer.later is not None and self._is_lost:
            answer.later.leave()
            outcome = Response(status=UNREAD)
        elif answer.later is not None:
            self._parked, self._given = answer.later, asyncio.get_running_loop().create_future()
            self._parked.park(self._given.set_result)
            outcome = await self._given
        await api.finish(exchange, outcome, scope, receive, send)


class Asker:
    """Makes requests to an API in this process."""

    api: Api
    token: str

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Any = b"",
        headers: dict[str, str] | None = None,
        token: str | None = "",
        on_chunk: Any = None,
        pieces: int = 1,
        scope_extra: dict[str, Any] | None = None,
        connection: "Connection | None" = None,
    ) -> Reply:
        """One request in this process. `token` "" means our own, None means none."""
        path, _, query = path.partition("?")
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"host": "localhost:1986", **(headers or {})}
        used = self.token if token == "" else token
        if used is not None:
            sent.setdefault("authorization", f"Bearer {used}")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1", "replace"),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
            "scheme": "http",
            "server": ("127.0.0.1", 1986),
            "client": ("127.0.0.1", 50000),
            **(scope_extra or {}),
        }
        if connection is not None:
            connection.scope = scope
        reply = Reply()
        size = max(1, -(-len(data) // pieces))
        waiting = [data[at : at + size] for at in range(0, len(data), size)] or [b""]

        async def receive() -> dict[str, Any]:
            if waiting:
                piece = waiting.pop(0)
                return {"type": "http.request", "body": piece, "more_body": bool(waiting)}
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                reply.status, reply.raw_headers = message["status"], message["headers"]
            elif message.get("body"):
                reply.chunks.append(message["body"])
                if on_chunk is not None:
                    await on_chunk(message["body"])

        if connection is None:
            await self.api(scope, receive, send)
        else:
            await connection.answer(self.api, scope, receive, send)
        return reply

    async def get(self, path: str, **more: Any) -> Reply:
        return await self.request("GET", path, **more)

    async def post(self, path: str, body: Any = b"", **more: Any) -> Reply:
        return await self.request("POST", path, body=body, **more)


class OneService:
    """Implements `RunLookup`: a service with one run."""

    def names(self) -> list[str]:
        return ["up"]

    async def has_run(self, provider: str, upstream_id: str) -> bool:
        return (provider, upstream_id) == ("up", "run-1")

    async def other_model(self, provider: str, upstream_id: str, version: str) -> str | None:
        del provider, upstream_id, version
        return None


class World(Asker):
    """Everything a test needs to make requests and to play the worker."""

    def __init__(self, *, store: "CountingStore | None" = None, blobs_at: Path | None = None, **groups: Any) -> None:
        """Blobs are in memory, or in files of a folder."""
        groups.setdefault(
            "collections", {"picks": CollectionSettings(description="Our picks.", models=("acme/echo", "no/one"))}
        )
        self.settings = Settings(data=Path("/nowhere"), **groups)
        self.clock = FakeClock()
        self.store = self.counting = store or CountingStore(self.clock)
        self.blobs: Any = MemoryBlobs() if blobs_at is None else FileBlobs(blobs_at)
        self.bus = LocalBus()
        new_id = TimeOrderedIds(self.clock)
        self.catalog = Catalog(self.store)
        self.links = LinkSigner(b"k" * 32, self.clock)
        self.periods = Periods(
            settings=self.settings.retention,
            model_settings=self.settings.models,
            keys=self.store,
            models=self.store,
        )
        self.keys = Keys(
            store=self.store,
            clock=self.clock,
            new_id=new_id,
            pepper=b"p" * 32,
            on_options=self.periods.note_key,
        )
        self.blob_references = BlobReferences(blobs=self.blobs, ledger=self.store)
        self.files = Files(
            store=self.store.files,
            blob_references=self.blob_references,
            blobs=self.blobs,
            clock=self.clock,
            new_id=new_id,
            upload_limit_bytes=self.settings.limits.upload_bytes,
        )
        self.retention = RetentionService(
            store=self.store,
            blob_references=self.blob_references,
            uploads=self.files,
            periods=self.periods,
            bus=self.bus,
            clock=self.clock,
        )
        self.stager = InputFileStager(
            fetch=Egress(AddressRules()),
            blobs=self.blobs,
            own=OwnFiles(
                links=self.links,
                files=self.store.files,
                outputs=PredictionReader(store=self.store, data_ends=self.periods, clock=self.clock),
            ),
            blob_references=self.blob_references,
            clock=self.clock,
            rules=StagingRules(
                inline_limit_bytes=self.settings.limits.inline_data_bytes,
                fetch_limit_bytes=2**20,
                fetch_seconds=10,
            ),
        )
        self.predictions = Predictions(
            store=self.store,
            admission=Admission(
                catalog=self.catalog, placement=NoPlacement(), inputs=InputCheck(file_links=self.stager)
            ),
            bus=self.bus,
            data_ends=self.periods,
            running=ProgressCache(self.clock),
            clock=self.clock,
            new_id=new_id,
        )
        self.outcomes = UnknownOutcomes(
            store=self.store,
            catalog=self.catalog,
            retry_check=RetryCheck(inputs=InputCheck(file_links=self.stager)),
            services=OneService(),
            bus=self.bus,
            clock=self.clock,
            new_id=new_id,
        )
        self.desk = WebhookAdmin(
            store=self.store.deliveries,
            signer=Signer(b"w" * 32, self.store.deliveries, self.clock),
            receivers=Receivers(Egress(AddressRules()), limit_bytes=2048, http=False, is_loopback_open=False),
            reader=PredictionReader(store=self.store, data_ends=self.periods, clock=self.clock),
            bus=self.bus,
            pause_clock=MonotonicWallClock(self.clock),
            new_id=new_id,
            overlap_seconds=86_400.0,
        )
        self.attendance = AbandonmentTracker(
            store=self.store, predictions=self.predictions, clock=self.clock, grace_seconds=10.0, node_id="n1"
        )
        self.reruns = Reruns(predictions=self.predictions, store=self.store, catalog=self.catalog)
        self.bulk = self._bulk(new_id)
        self.reasons: dict[str, str] = {}
        self.why_starting: str | None = None  # of all models
        self.hints: list[UpstreamHint] = []  # of services elsewhere
        context = ApiContext(
            settings=self.settings,
            use_cases=UseCases(
                of_predictions=PredictionUseCases(
                    predictions=self.predictions,
                    overview=Overview(store=self.store, keeper=self.predictions, clock=self.clock),
                    reruns=self.reruns,
                    bulk=self.bulk,
                    attendance=self.attendance,
                    key_usages=KeyUsages(self.store),
                ),
                catalog=self.catalog,
                models=self.store,
                keys=self.keys,
                files=self.files,
                retention=self.retention,
                webhooks=self.desk,
            ),
            content=Content(
                blobs=self.blobs,
                links=self.links,
                data_ends=self.periods,
                download_secret=SECRET,
            ),
            checks=HealthChecks(health=lambda: self.reasons),
            local_models=LocalModels(
                why_starting=lambda _: self.why_starting,
                upstreams=UpstreamViews(
                    adopt=self.outcomes.adopt, retry=self.outcomes.retry, receive_hint=self.hints.append
                ),
            ),
            pages=MadeOnce(HtmlPages),
            clock=self.clock,
            new_id=new_id,
        )
        self.sign_ins = SignIns(store=self.store, keys=self.keys, clock=self.clock, secret=b"p" * 32)
        self.api = Api(context)
        self.dashboard = build_dashboard(self.api, self.sign_ins)
        self.api.add_pages(self.dashboard.routes)
        self.bus.subscribe(self.api.receive)
        self.hub = self.api.parts.hub
        self.versions: dict[str, str] = {}
        self.token = ""
        self.other_token = ""
        self._leases: dict[str, Lease] = {}

    def _bulk(self, new_id: NewId) -> BulkActions:
        return BulkActions(
            store=self.store,
            search=self.store,
            clock=self.clock,
            new_id=new_id,
            most=self.settings.limits.bulk_predictions,
            executor=BulkExecutor(
                store=self.store,
                item_actions=ItemActions(
                    predictions=self.predictions,
                    reruns=self.reruns,
                    remove_data=self.retention.remove_now,
                    store=self.store,
                ),
                may_act=partial(may_act, self.store),
                clock=self.clock,
                holder_id="world",
                is_alone=True,
            ),
        )

    async def fill(self) -> "World":
        """Register the models, and keys for two accounts."""
        for number, (name, document) in enumerate(SCHEMAS.items()):
            owner, _, short = name.partition("/")
            now = self.clock.now()
            version = Version(id=f"{number + 1:064x}", model=name, created_at=now, openapi_schema=document)
            await self.catalog.register(Model(owner=owner, name=short, created_at=now), version)
            self.versions[name] = version.id
            self.clock.advance(1)
        self.token, _ = await self.keys.issue("alice", "alice's key", DEFAULT_SCOPES)
        self.other_token, _ = await self.keys.issue("bob", "bob's key", DEFAULT_SCOPES)
        await self.store.open_session(SESSION, self.clock.now(), 1e6)
        return self

    async def create(self, model: str = "acme/echo", **more: Any) -> Any:
        """A new prediction, as the wire shows it."""
        reply = await self.post("/v1/predictions", {"version": model, "input": {"prompt": "hi"}}, **more)
        assert reply.status in (201, 202), reply.body
        return reply.json()

    # the worker's side

    async def start(self, prediction_id: str) -> Lease:
        """Claim it and begin."""
        version = (await self.row(prediction_id)).version
        claimed = await self.store.claim(SESSION, {version: 100}, self.clock.now())
        for one in claimed:
            self._leases[one.lease.prediction_id] = one.lease
        lease = self._leases[prediction_id]
        await self.say(prediction_id, EventKind.STARTED)
        return lease

    async def say(self, prediction_id: str, kind: EventKind, data: bytes = b"null") -> None:
        await self.store.append_events(
            self._leases[prediction_id], [NewEvent(kind=kind, at=self.clock.now(), data=data)]
        )
        self.bus.publish(Changed(prediction_id))

    def changed(self, prediction_id: str) -> None:
        """Give the hint that something was committed."""
        self.bus.publish(Changed(prediction_id))

    async def output(
        self, prediction_id: str, value: Any, *, files: tuple[OutputFile, ...] = (), add: bool = False
    ) -> None:
        item = OutputItem(value=msgspec.Raw(msgspec.json.encode(value)), files=files)
        kind = EventKind.OUTPUT_ADDED if add else EventKind.OUTPUT_SET
        await self.say(prediction_id, kind, msgspec.json.encode(item))

    async def log(self, prediction_id: str, text: str) -> None:
        await self.say(prediction_id, EventKind.LOGGED, msgspec.json.encode(text))

    async def finish(self, prediction_id: str, fact: Fact = Fact.SUCCEEDED, *, error: str | None = None) -> None:
        await self.store.finish(self._leases[prediction_id], fact, self.clock.now(), error=error, predict_time=0.5)
        self.bus.publish(Changed(prediction_id))

    async def run(self, prediction_id: str, value: Any = "hello", **more: Any) -> None:
        """Start it, put out a value, succeed."""
        await self.start(prediction_id)
        await self.output(prediction_id, value, **more)
        await self.finish(prediction_id)

    async def lose(self, prediction_id: str) -> None:
        """Submit it elsewhere without a clear answer: it fails, and its outcome is unknown."""
        lease = await self.start(prediction_id)
        await self.store.record_intent(lease, "up")
        await self.store.record_unknown(lease)
        await self.finish(prediction_id, Fact.FAILED, error="lost")

    async def keep(self, prediction_id: str, index: int, name: str, data: bytes, kind: str) -> OutputFile:
        """Store a file as output keeping would."""

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        info = await self.blobs.put(chunks(), 10**9)
        return OutputFile(
            ref=f"asset:{prediction_id}/{index}/{name}",
            index=index,
            name=name,
            sha256=info.sha256,
            size_bytes=info.size_bytes,
            content_type=kind,
        )

    async def delivery(self, prediction_id: str, event: WebhookEvent = WebhookEvent.COMPLETED) -> Delivery:
        """A message about the prediction, and an attempt at it that is under way."""
        row = await self.row(prediction_id)
        message = Message(
            id=completed_id(prediction_id),
            account_id=row.account_id,
            prediction_id=prediction_id,
            url=HOOK,
            endpoint="receiver.example:443",
            body=HOOK_BODY,
            created_at=self.clock.now(),
            next_at=self.clock.now(),
        )
        await self.store.deliveries.record([message], 1)
        attempt = Delivery(
            id=self.api.parts.new_id(),
            account_id=row.account_id,
            prediction_id=prediction_id,
            message_id=message.id,
            event=event,
            attempt=1,
            url=HOOK,
            headers={"webhook-id": message.id},
            body_sha256=hashlib.sha256(HOOK_BODY).hexdigest(),
            body_bytes=len(HOOK_BODY),
            started_at=self.clock.now(),
        )
        await self.store.deliveries.begin(attempt)
        self.clock.advance(1)
        return attempt

    async def row(self, prediction_id: str) -> Prediction:
        row = await self.store.get(prediction_id)
        assert row is not None
        return row


async def settled(turns: int = 20) -> None:
    """Let everything that can run, run."""
    for _ in range(turns):
        await asyncio.sleep(0)
