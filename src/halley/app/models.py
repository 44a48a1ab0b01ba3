"""Brings the configured models into the catalog: read, described once, runnable from then on."""

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from halley.clock import Clock
from halley.errors import HalleyError, Unusable
from halley.models.catalog import Catalog
from halley.models.ports import ModelStore
from halley.models.records import Model, Version
from halley.providers.local import LocalProvider
from halley.replicas.digest import DigestCache, environment_tag, source_digest, version_id
from halley.replicas.environments.environments import Environments
from halley.replicas.inspect import inspect
from halley.replicas.loading import ModelSource, demo_sources, load_source, with_settings
from halley.settings import Settings

_log = logging.getLogger(__name__)

INSPECT_AT_ONCE: Final = 2
WATCH_SECONDS: Final = 1.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A model that this server shall serve."""

    source: ModelSource
    preload: bool = False
    is_official: bool = False
    description: str | None = None


def wanted_models(settings: Settings, paths: Sequence[Path], *, demo: bool) -> list[Wanted]:
    """The models of the configuration, of the command line and the demos; a name that comes twice counts once.

    Raises:
        Unusable: a path holds no model.
    """
    found: dict[str, Wanted] = {}
    for name, model in settings.models.items():
        source = with_settings(load_source(model.path, name=name), model)
        found[name] = Wanted(source=source, preload=model.preload)
    for path in paths:
        source = load_source(path)
        found[source.name] = Wanted(source=source, preload=True)
    if demo:
        for source in demo_sources():
            found.setdefault(
                source.name, Wanted(source=source, is_official=True, description="A demo model of Halley.")
            )
    return list(found.values())


class ModelLoader:
    """Registers models with catalog and provider. A model that cannot be used is named, and the others go on."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        store: ModelStore,
        provider: LocalProvider,
        clock: Clock,
        environ: Mapping[str, str],
        digests: DigestCache,
        environments: Environments,
        settings: Settings,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._provider = provider
        self._clock = clock
        self._environ = environ
        self._digests = digests
        self._environments = environments
        self._settings = settings
        self._unprepared: list[Wanted] = []
        self._digest_of: dict[str, str] = {}
        self._versions: dict[str, str] = {}  # what each model runs now
        self._served: set[str] = set()
        self.faults = catalog.faults  # by model name
        self._registering = asyncio.Lock()

    async def load_all(self, wanted: Sequence[Wanted]) -> None:
        """Load what the store knows at once, describe the others side by side.

        What needs an environment that is not there is left to `prepare`.
        """
        turns = asyncio.Semaphore(INSPECT_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for item in wanted:
                group.create_task(self._load_one(item, turns, may_build=False))

    async def prepare(self) -> None:
        """Load what `load_all` left, side by side: the environments are built as long as it takes."""
        turns = asyncio.Semaphore(INSPECT_AT_ONCE)
        left, self._unprepared = self._unprepared, []
        async with asyncio.TaskGroup() as group:
            for item in left:
                group.create_task(self._load_one(item, turns))

    async def watch(self, wanted: Sequence[Wanted]) -> None:
        """Load a model anew when its files change. Runs until cancelled; what runs may end."""
        turns = asyncio.Semaphore(INSPECT_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while True:
                await self._clock.sleep(WATCH_SECONDS)
                for item in wanted:
                    try:
                        source = self._again(item.source)
                        digest = await anyio.to_thread.run_sync(source_digest, source, self._digests)
                    except HalleyError:
                        continue  # half-saved: the next look sees it whole
                    if digest != self._digest_of.get(source.name):
                        _log.info("%s changed: it is loaded anew", source.name)
                        self._digest_of[source.name] = digest
                        # beside: a new environment may take minutes, and other models change meanwhile
                        group.create_task(self._load_one(msgspec.structs.replace(item, source=source), turns))

    async def _load_one(self, item: Wanted, turns: asyncio.Semaphore, *, may_build: bool = True) -> None:
        name = item.source.name
        try:
            source = await anyio.to_thread.run_sync(self._environments.settle, item.source)
            if not may_build and await self._must_build(source):
                self._catalog.preparing[name] = "its environment is being built"
                self._unprepared.append(item)
                return
            if await self._must_build(source):
                await self._environments.prepare(source)
            async with turns:
                version = await self._version(msgspec.structs.replace(item, source=source))
            self.faults.pop(name, None)
            for warning in source.warnings:
                _log.warning("%s: %s", name, warning)
            self._provider.add(version.id, source)
            self._served.add(name)
            old = self._versions.get(name)
            self._versions[name] = version.id
            was_loaded = old is not None and self._provider.is_loaded(old)
            if item.preload or source.pinned or was_loaded:
                self._provider.preload(version.id)
            if old is not None and old != version.id and await self._provider.retire(old):
                self._catalog.drop(old)
        except HalleyError as error:
            self.faults[name] = str(error)
            if name in self._served:
                _log.error("%s could not be loaded anew, and is served as it was before: %s", name, error)
            else:
                _log.error("%s is not served: %s", name, error)
        if may_build:
            self._catalog.preparing.pop(name, None)

    async def _must_build(self, source: ModelSource) -> bool:
        """Whether the model cannot be known before its environment is there."""
        if self._environments.is_ready(source):
            return False
        if self._environments.lock_of(source) is None:
            return True
        digest = await anyio.to_thread.run_sync(source_digest, source, self._digests)
        return source.openapi_schema is None and await self._known_schema(source.name, digest) is None

    async def _version(self, item: Wanted) -> Version:
        source = item.source
        digest = await anyio.to_thread.run_sync(source_digest, source, self._digests)
        self._digest_of[source.name] = digest
        owner, _, name = source.name.partition("/")
        now = self._clock.now()
        model = Model(
            owner=owner, name=name, description=item.description, is_official=item.is_official, created_at=now
        )
        schema = await self._known_schema(source.name, digest)
        if schema is None:
            schema = (await inspect(source, environ=self._environ)).openapi_schema
        async with self._registering:  # equal models must not both find their id free
            version = Version(
                id=await self._free_id(source.name, version_id(digest, schema, self._environment_of(source))),
                model=source.name,
                created_at=now,
                openapi_schema=schema,
                source_digest=digest,
                run_timeout_seconds=source.run_timeout_seconds,
            )
            try:
                return await self._catalog.register(model, version)
            except Unusable as error:
                raise Unusable(f"{source.name}: {error}") from error

    async def _free_id(self, model: str, version: str) -> str:
        """The id, or one made from it and the name if a model of another name has equal files: ids are unique."""
        known = await self._store.get_version(version)
        if known is None or known.model == model:
            return version
        return hashlib.sha256(f"{version} {model}".encode()).hexdigest()

    def _environment_of(self, source: ModelSource) -> str:
        lock = self._environments.lock_of(source)
        return f"{environment_tag()} {lock}" if lock else environment_tag()

    async def _known_schema(self, model: str, digest: str) -> bytes | None:
        for version in await self._store.list_versions(model):
            if version.source_digest == digest:
                return version.openapi_schema
        return None

    def _again(self, source: ModelSource) -> ModelSource:
        fresh = load_source(source.file or source.folder, name=source.name)
        configured = self._settings.models.get(source.name)
        return fresh if configured is None else with_settings(fresh, configured)
