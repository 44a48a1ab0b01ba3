"""Models that exist only at upstreams: their versions and schemas are asked for on demand and stored."""

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from halley.clock import Clock
from halley.dispatch.route_table import ModelRoute, ModelRoutes, origin_digest
from halley.dispatch.upstreams import ModelDescriber, UpstreamModel, UpstreamTarget
from halley.errors import HalleyError, Overloaded, ProviderBusy, Unusable
from halley.models.catalog import Catalog
from halley.models.ports import ModelStore
from halley.models.records import Model, Version
from halley.models.validation import UNCHECKED, InputSchema
from halley.settings import LOCAL

_log: Final = logging.getLogger(__name__)

MISS_SECONDS: Final = 5.0  # how long it is remembered that there is no such model
FRESH_SECONDS: Final = 300.0  # after this time the newest version is asked for again, in the background
ASK_SECONDS: Final = 10.0  # how long a create waits for an upstream to describe the model
# names of models come from clients: a program that guesses names must not use up the limits of a service
MOST_MISSES: Final = 100  # in MISS_SECONDS
MOST_ASKED: Final = 50  # requests at the same time
# a service that cannot list its models counts as having every model, and every version, that is named
MOST_MODELS: Final = 10_000  # and as many versions
SCHEMA_BYTES: Final = 4 * 2**20
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[\w.\-]{1,100}/[\w.\-]{1,100}", re.ASCII)


class ImportedModels:
    """Implements `models.ports.ModelFinder` by the routes."""

    def __init__(self, catalog: Catalog, store: ModelStore, table: ModelRoutes, clock: Clock) -> None:
        self._catalog = catalog
        self._store = store
        self._table = table
        self._clock = clock
        self.sources: Mapping[str, ModelDescriber] = {}
        self._misses: dict[str, float] = {}
        self._taken: set[str] = set()  # models that came from upstreams
        self._versions: set[str] = set()  # and their versions
        self._asked_at: dict[str, float] = {}  # by model: when its newest version was asked for
        self._asking: dict[str, asyncio.Task[bool]] = {}
        self.on_new: Callable[[], None] = _nothing  # called when a version was added

    async def load(self) -> None:
        """Make the stored versions of upstream models runnable. No upstream is asked."""
        if not self._table and not self.sources:
            return  # without services, a start reads no schema for them
        for model in await self._store.list_models():
            route = self._table.find(model.full_name)
            for version in await self._store.list_versions(model.full_name):
                if version.provider != LOCAL:
                    self._taken.add(model.full_name)
                    self._versions.add(version.id)
                    is_latest = route is not None and version.id == model.latest_version_id
                    self._offer(version, is_latest=is_latest)

    async def close(self) -> None:
        """Send no more requests."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def forget_misses(self) -> None:
        """Ask again for models that no upstream had: the routes have changed."""
        self._misses.clear()
        self._asked_at.clear()

    # models.ports.ModelFinder

    async def find(self, reference: str) -> bool:
        model, _, tag = reference.partition(":")
        if not _NAME.fullmatch(model) or self._upstream_route(model) is None:
            return False
        if tag not in ("", "latest") and not _HEX.fullmatch(tag):
            return False  # no version has such an id here
        if self._misses.get(reference, 0.0) > self._clock.elapsed():
            return False
        return await self._ask_once(model, None if tag in ("", "latest") else tag)

    def has_route(self, version: Version) -> bool:
        route = self._upstream_route(version.model)
        return route is not None and not self.sources.keys().isdisjoint(route.upstreams)

    def refresh(self, version: Version) -> None:
        if self._clock.elapsed() - self._asked_at.get(version.model, -FRESH_SECONDS) < FRESH_SECONDS:
            return
        self._asked_at[version.model] = self._clock.elapsed()
        if self._upstream_route(version.model) is not None and version.model not in self._asking:
            self._begin(version.model, None).add_done_callback(_note_refresh)

    # asking

    def _upstream_route(self, model: str) -> ModelRoute | None:
        """The route of a model that is not on this machine, and may be at an upstream."""
        route = self._table.find(model)
        return route if route is not None and route.upstreams else None

    async def _ask_once(self, model: str, version: str | None) -> bool:
        key = model if version is None else f"{model}:{version}"
        if key not in self._asking and not self._may_ask():
            raise Overloaded("Too many models of upstreams are being asked for; try again in a moment.")
        task = self._asking.get(key) or self._begin(model, version)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                found = await asyncio.shield(task)
        except TimeoutError:
            raise Overloaded(f"The upstream of {model} did not describe the model in time; try again.") from None
        if not found:
            self._misses[key] = self._clock.elapsed() + MISS_SECONDS
        return found

    def _may_ask(self) -> bool:
        if len(self._misses) >= MOST_MISSES:
            now = self._clock.elapsed()
            self._misses = {key: until for key, until in self._misses.items() if until > now}
        return len(self._asking) < MOST_ASKED and len(self._misses) < MOST_MISSES

    def _begin(self, model: str, version: str | None) -> "asyncio.Task[bool]":
        key = model if version is None else f"{model}:{version}"
        task = self._asking[key] = asyncio.get_running_loop().create_task(self._ask(model, version))
        task.add_done_callback(lambda _: self._asking.pop(key, None))
        return task

    async def _ask(self, model: str, version: str | None) -> bool:
        """Ask the upstreams of the route, in order.

        Raises:
            Overloaded: none has it, and one could not be asked.
        """
        route = self._upstream_route(model)
        if route is None:
            return False
        if version is None:
            self._asked_at[model] = self._clock.elapsed()
        elif not self._catalog.knows(model):
            await self._ask(model, None)  # otherwise the named version would count as the newest
        found, busy = await self._asked(route, UpstreamTarget(model=route.there(model), version=version))
        if found is None:
            if busy is not None:
                raise Overloaded(f"Whether there is a model {model} cannot be found out now: {busy}")
            return False
        await self._take(model, route, *found, is_newest=version is None)
        return True

    async def _asked(
        self, route: ModelRoute, target: UpstreamTarget
    ) -> tuple[tuple[str, UpstreamModel] | None, ProviderBusy | None]:
        """The first upstream that has the model, best with a schema; and why one could not be asked."""
        busy, without_schema = None, None
        for name in route.upstreams:
            source = self.sources.get(name)
            if source is None:
                continue
            try:
                found = await source.find_model(target)
            except ProviderBusy as error:
                busy = error
                continue
            if found is not None and found.openapi_schema:
                return (name, found), busy
            if found is not None and without_schema is None:
                without_schema = (name, found)
        return without_schema, busy

    async def _take(
        self, name: str, route: ModelRoute, provider: str, found: UpstreamModel, *, is_newest: bool
    ) -> None:
        schema = await self._schema(name, route, found)
        version = Version(
            id=await self._id(name, schema, found),
            model=name,
            created_at=self._clock.now(),
            openapi_schema=schema,
            source_digest=origin_digest(provider, found.model, found.version),
            provider=provider,
            run_timeout_seconds=route.settings.run_timeout_seconds,
        )
        known = self._catalog.by_id(version.id)
        if known is not None and msgspec.structs.replace(known.version, created_at=version.created_at) == version:
            self._taken.add(name)
            return
        self._require_room(name, version.id, is_newest=is_newest)
        owner, _, short = name.partition("/")
        model = Model(owner=owner, name=short, description=found.description, created_at=self._clock.now())
        if is_newest:
            await self._catalog.register(model, version)
        else:
            await self._catalog.add_earlier(model, version)
        _log.info("%s is known from %s: version %s", name, provider, version.id[:12])
        self.on_new()

    def _require_room(self, name: str, version_id: str, *, is_newest: bool) -> None:
        """Count the model and its version. The newest version of a known model is taken always: no client names it.

        Raises:
            Overloaded: there are too many.
        """
        if name not in self._taken and len(self._taken) >= MOST_MODELS:
            raise Overloaded(f"This server has {MOST_MODELS} models of upstreams, and takes no further ones.")
        if not is_newest and version_id not in self._versions and len(self._versions) >= MOST_MODELS:
            raise Overloaded(f"This server has {MOST_MODELS} versions of upstreams, and takes no further ones.")
        self._taken.add(name)
        self._versions.add(version_id)

    async def _schema(self, name: str, route: ModelRoute, found: UpstreamModel) -> bytes:
        """The upstream's schema, or that of the route, or one that accepts every input."""
        if found.openapi_schema and len(found.openapi_schema) <= SCHEMA_BYTES:
            try:
                InputSchema(found.openapi_schema)
            except Unusable as error:
                _log.warning("the schema that an upstream gives for %s cannot be used: %s", name, error)
            else:
                return found.openapi_schema
        if route.settings.schema is None:
            return UNCHECKED
        return await anyio.to_thread.run_sync(read_schema, route.settings.schema)

    async def _id(self, name: str, schema: bytes, found: UpstreamModel) -> str:
        """The upstream's id of the version, if it can be ours; else one that follows from model and schema."""
        there = found.version or ""
        if _HEX.fullmatch(there):
            stored = await self._store.get_version(there)
            if stored is None or stored.model == name:
                return there
        return hashlib.sha256(b"\0".join((b"upstream", name.encode(), there.encode(), schema))).hexdigest()

    def _offer(self, version: Version, *, is_latest: bool) -> None:
        try:
            self._catalog.offer(version, is_latest=is_latest)
        except HalleyError as error:
            _log.warning("a stored version of %s cannot be used: %s", version.model, error)


def read_schema(path: Path) -> bytes:
    """The OpenAPI document of a route.

    Raises:
        Unusable: the file cannot be read, or has no usable input schema.
    """
    try:
        document = path.read_bytes()
    except OSError as error:
        raise Unusable(f"The schema {path} cannot be read: {error.strerror}.") from error
    try:
        InputSchema(document)
    except Unusable as error:
        raise Unusable(f"The schema {path} cannot be used: {error}") from error
    return document


def _note_refresh(task: "asyncio.Task[bool]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.info("the newest version of an upstream model is not known: %s", error)


def _nothing() -> None:
    pass
