"""Loads the configured models into the catalog: each is read, described once, and runnable from then on.

A broken model affects only itself.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import anyio.to_thread
import msgspec

from halley.app.wanted import WantedModel
from halley.clock import Clock
from halley.errors import Busy, HalleyError, Unusable
from halley.models.catalog import Catalog
from halley.models.ports import ModelStore
from halley.models.records import Model, Version
from halley.providers.local import LocalProvider
from halley.replicas.digest import DigestCache, source_digest, version_id
from halley.replicas.earlier_versions import earlier_versions
from halley.replicas.environments.environments import EnvironmentBuilder
from halley.replicas.inspect import inspect
from halley.replicas.loading import ModelSource
from halley.replicas.places import Places
from halley.retry import retry_until_accepted

_log = logging.getLogger(__name__)

INSPECT_AT_ONCE: Final = 2
WATCH_SECONDS: Final = 1.0
_INTERNAL: Final = "It could not be loaded because of an internal error of Halley; the server's log has the details."


class SourceTools(msgspec.Struct, frozen=True, kw_only=True):
    """The tools that turn the files of a model into a runnable version. `environ` is the environment of their
    processes.
    """

    environ: Mapping[str, str]
    digests: DigestCache
    environments: EnvironmentBuilder
    places: Places | None = None


class ModelLoader:
    """Registers models with catalog and provider. A broken model is reported; the others are served."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        store: ModelStore,
        provider: LocalProvider,
        clock: Clock,
        tools: SourceTools,
        on_ready: Callable[[], None],
        on_broken: Callable[[str, str, str], None],
    ) -> None:
        """`on_ready` is called when the set of runnable versions changes; `on_broken` with a version that predictions
        may wait for and that will not come, an error text for people, and a reason word.
        """
        self._catalog = catalog
        self._store = store
        self._provider = provider
        self._clock = clock
        self._environ = tools.environ
        self._digests = tools.digests
        self._environments = tools.environments
        self._places = tools.places
        self._on_ready = on_ready
        self._on_broken = on_broken
        self._inspecting = asyncio.Semaphore(INSPECT_AT_ONCE)
        self._digesting = asyncio.Lock()  # the cache is for one thread at a time
        self._unprepared: list[WantedModel] = []
        self.is_late = False  # some models could not be loaded yet because the store refused writes
        self._versions: dict[str, str] = {}  # the present version of each model
        self._expected: dict[str, str] = {}  # the coming version of models that run none, once they can be described
        self._earlier: dict[str, tuple[str, ...]] = {}  # by the version that runs for them
        self._taken: dict[str, str] = {}  # the model of each version id
        self._turns: dict[str, int] = {}  # how often the load of each model began: only the last one counts
        self._digest_of: dict[str, str] = {}  # of the files at the last check
        self._unread: dict[str, str] = {}  # models whose files could not be read at the last check, and why

    async def load_all(self, wanted: Sequence[WantedModel]) -> None:
        """Load models that the store knows at once, and describe the others concurrently.

        Models that need an environment to be built, or a store that accepts writes, are left to `prepare`.
        """
        async with asyncio.TaskGroup() as group:
            for item in wanted:
                group.create_task(self._load(item, may_build=False))

    async def prepare(self) -> None:
        """Load the models that `load_all` left, concurrently; waits until their environments are built."""
        left, self._unprepared = self._unprepared, []
        async with asyncio.TaskGroup() as group:
            for item in left:
                group.create_task(self._load(item))
        self.is_late = False

    async def watch(self, wanted: Sequence[WantedModel]) -> None:
        """Reload a model when its files change. Runs until cancelled. Running predictions may end."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._clock.sleep(WATCH_SECONDS)
                for item in wanted:
                    if await self._has_changed(item):
                        _log.info("%s changed; reloading", item.name)
                        # as a task: a new environment may take minutes, and other models may change meanwhile
                        group.create_task(self._load(item))

    async def look_again(self, wanted: Sequence[WantedModel]) -> None:
        """Reload, once, the models that changed or are broken. Running predictions may end."""
        async with asyncio.TaskGroup() as group:
            for item in wanted:
                if await self._has_changed(item) or item.name in self._catalog.faults:
                    group.create_task(self._load(item))

    async def _has_changed(self, item: WantedModel) -> bool:
        """Whether its files changed since the last check."""
        try:
            digest = await self._digest(await anyio.to_thread.run_sync(item.read))
        except HalleyError as error:
            self._note_unread(item, str(error))
            return False
        self._unread.pop(item.name, None)
        known = self._digest_of.get(item.name)
        self._digest_of[item.name] = digest
        return digest != known

    def _note_unread(self, item: WantedModel, reason: str) -> None:
        """A file may be half-saved: a fault counts only if two checks find it."""
        if self._unread.get(item.name) == reason:
            self._report(item, reason)
            self._digest_of.pop(item.name, None)  # also if the file is changed back
        self._unread[item.name] = reason

    async def _load(self, item: WantedModel, *, may_build: bool = True) -> None:
        if may_build:
            await retry_until_accepted(
                lambda: self._try(item, may_build=True), self._clock, f"{item.name} cannot be loaded yet"
            )
            return
        try:
            await self._try(item, may_build=False)
        except Busy as busy:
            _log.warning("%s cannot be loaded yet: %s", item.name, busy)
            self._unprepared.append(item)
            self.is_late = True

    async def _try(self, item: WantedModel, *, may_build: bool) -> None:
        """Load it, or report what is wrong with it.

        Raises:
            Busy: nothing is wrong with it, but the store refuses writes now.
        """
        turn = self._turns[item.name] = self._turns.get(item.name, 0) + 1
        failure = "setup_failed"
        try:
            source = await anyio.to_thread.run_sync(item.read)
            source = await anyio.to_thread.run_sync(self._environments.resolve, source)
            digest = await self._digest(source)
            self._digest_of[item.name] = digest
            if await self._must_build(source, digest):
                if item.name not in self._versions:  # otherwise the served version stays until the new one is ready
                    await self._expect(item, source, digest)
                if not may_build:
                    self._unprepared.append(item)
                    return
                failure = "environment_failed"
                await self._environments.prepare(source)
                failure = "setup_failed"
            async with self._inspecting:
                version = await self._described(item, source, digest)
            if self._turns[item.name] == turn:  # otherwise its files have changed meanwhile
                await self._serve(item, source, version)
        except Busy:
            raise
        except HalleyError as error:
            if self._turns[item.name] == turn:
                await self._fail(item, str(error), failure)
        except Exception:  # noqa: BLE001 - for any error, the other models are served
            _log.exception("%s could not be loaded", item.name)
            await self._fail(item, _INTERNAL, "internal")

    async def _expect(self, item: WantedModel, source: ModelSource, digest: str) -> None:
        """Accept predictions for a version that can only be described in an environment that is not built yet."""
        version = await self._version(item, source, digest, b"")
        self._catalog.expect(self._model(item), version)
        self._provider.add(version.id, source)
        before, self._expected[item.name] = self._expected.get(item.name), version.id
        if before is not None and before != version.id:
            await self._forget(before)
        self._on_ready()

    async def _serve(self, item: WantedModel, source: ModelSource, version: Version) -> None:
        model = msgspec.structs.replace(self._model(item), retention=source.retention)
        try:
            stored = await self._catalog.register(model, version)
        except Unusable as error:
            raise Unusable(f"{item.name}: {error}") from error
        for warning in source.warnings:
            _log.warning("%s: %s", item.name, warning)
        self._provider.add(stored.id, source)
        await self._serve_earlier(source, stored)
        old = self._versions.get(item.name)
        self._versions[item.name] = stored.id
        was_loaded = old is not None and self._provider.is_loaded(old)
        if item.preload or source.pinned or was_loaded:
            self._provider.preload(stored.id)
        expected = self._expected.pop(item.name, stored.id)
        if expected != stored.id:
            await self._forget(expected)
        self._on_ready()
        if old is not None and old != stored.id:
            if not await self._provider.retire(old):
                return
            for past in (old, *self._earlier.pop(old, ())):
                self._catalog.drop(past)
        await self._forget_setups(stored)

    async def _serve_earlier(self, source: ModelSource, current: Version) -> None:
        """Run accepted predictions of earlier versions, if they differ only by files that the model itself wrote."""
        stored = await self._store.list_versions(current.model)
        async with self._digesting:
            found = await anyio.to_thread.run_sync(earlier_versions, source, current, stored, self._digests)
        for version in found:
            self._catalog.accept_earlier(version)
            self._provider.serve_also(version.id, current.id)
        self._earlier[current.id] = tuple(version.id for version in found)
        if found:
            _log.info(
                "%s: %d earlier versions have the same source and differ only by files that the model wrote into"
                " its folder; %s runs instead of them",
                current.model,
                len(found),
                current.id[:12],
            )

    async def _forget_setups(self, current: Version) -> None:
        """Delete files that setups of other versions left."""
        if self._places is None:
            return
        layers, versions = self._places.layers, await self._store.list_versions(current.model)
        others = [version.id for version in versions if version.id != current.id]
        await anyio.to_thread.run_sync(lambda: [layers.clear(other, in_use=False) for other in others])

    async def _fail(self, item: WantedModel, error: str, reason: str) -> None:
        """The model cannot be used; predictions that wait for an expected version of it fail."""
        self._report(item, error)
        expected = self._expected.pop(item.name, None)
        if expected is not None:
            self._catalog.withdraw(item.name)
            await self._provider.remove(expected)
            self._on_broken(expected, error, reason)

    async def _forget(self, version: str) -> None:
        """An expected version will not come: the files were changed."""
        self._catalog.drop(version)
        await self._provider.remove(version)

    def _report(self, item: WantedModel, reason: str) -> None:
        if self._catalog.standing(item.name).reason == reason:
            return  # reported before
        self._catalog.report_fault(self._model(item), reason)
        if item.name in self._versions:
            _log.error("%s could not be reloaded; the version loaded before stays in service: %s", item.name, reason)
        else:
            _log.error("%s is not served: %s", item.name, reason)

    async def _digest(self, source: ModelSource) -> str:
        async with self._digesting:
            return await anyio.to_thread.run_sync(source_digest, source, self._digests)

    def _model(self, item: WantedModel) -> Model:
        owner, _, name = item.name.partition("/")
        return Model(
            owner=owner,
            name=name,
            description=item.description,
            is_official=item.is_official,
            created_at=self._clock.now(),
        )

    async def _must_build(self, source: ModelSource, digest: str) -> bool:
        """Whether the model can only be described in an environment that is not built."""
        if self._environments.is_ready(source):
            return False
        return await self._known_schema(source, digest) is None

    async def _described(self, item: WantedModel, source: ModelSource, digest: str) -> Version:
        schema = await self._known_schema(source, digest)
        if schema is None:
            schema = (await inspect(source, environ=self._environ, places=self._places)).openapi_schema
        return await self._version(item, source, digest, schema)

    async def _version(self, item: WantedModel, source: ModelSource, digest: str, schema: bytes) -> Version:
        return Version(
            id=await self._id(source, digest, schema),
            model=item.name,
            created_at=self._clock.now(),
            openapi_schema=schema,
            source_digest=digest,
            run_timeout_seconds=source.run_timeout_seconds,
            counts_written=self._places is not None and self._places.found.way == "off",
        )

    async def _id(self, source: ModelSource, digest: str, schema: bytes) -> str:
        """The version's id; derived from it and the name if a model of another name has equal files."""
        identity = self._environments.identity_of(source)
        # its own environment must be built before its schema is known, and the id is needed earlier
        known = schema if identity is None else source.openapi_schema
        version = version_id(digest, known, identity)
        stored = await self._store.get_version(version)
        owner = self._taken.setdefault(version, source.name if stored is None else stored.model)
        return version if owner == source.name else hashlib.sha256(f"{version} {source.name}".encode()).hexdigest()

    async def _known_schema(self, source: ModelSource, digest: str) -> bytes | None:
        """The schema that came with the model, or that of an earlier inspection of the same files."""
        if source.openapi_schema is not None:
            return source.openapi_schema
        for version in await self._store.list_versions(source.name):
            if version.source_digest == digest:
                return version.openapi_schema
        return None
