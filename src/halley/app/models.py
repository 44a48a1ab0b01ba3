"""Brings the wanted models into the catalog: read, described once, runnable from then on.

Whatever is wrong with one of them concerns it alone.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import anyio.to_thread
import msgspec

from halley.app.wanted import Wanted
from halley.clock import Clock
from halley.errors import HalleyError, Unusable
from halley.models.catalog import Catalog
from halley.models.ports import ModelStore
from halley.models.records import Model, Version
from halley.providers.local import LocalProvider
from halley.replicas.digest import DigestCache, environment_tag, source_digest, version_id
from halley.replicas.environments.environments import Environments
from halley.replicas.inspect import inspect
from halley.replicas.loading import ModelSource

_log = logging.getLogger(__name__)

INSPECT_AT_ONCE: Final = 2
WATCH_SECONDS: Final = 1.0
_INTERNAL: Final = "A fault inside Halley kept it from being loaded; the server's log has the details."


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
        on_ready: Callable[[], None],
    ) -> None:
        """`on_ready` is called whenever one more version can run."""
        self._catalog = catalog
        self._store = store
        self._provider = provider
        self._clock = clock
        self._environ = environ
        self._digests = digests
        self._environments = environments
        self._on_ready = on_ready
        self._inspecting = asyncio.Semaphore(INSPECT_AT_ONCE)
        self._registering = asyncio.Lock()
        self._digesting = asyncio.Lock()  # the cache is for one thread at a time
        self._unprepared: list[Wanted] = []
        self._versions: dict[str, str] = {}  # what each model runs now
        self._turns: dict[str, int] = {}  # how often each was begun to be loaded: only the last time counts
        self._digest_of: dict[str, str] = {}  # of the files that were looked at last
        self._unread: dict[str, str] = {}  # models whose files could not be read at the last look, and why

    async def load_all(self, wanted: Sequence[Wanted]) -> None:
        """Load what the store knows at once, describe the others side by side.

        What needs an environment that is not there is left to `prepare`.
        """
        async with asyncio.TaskGroup() as group:
            for item in wanted:
                group.create_task(self._load(item, may_build=False))

    async def prepare(self) -> None:
        """Load what `load_all` left, side by side: the environments are built as long as it takes."""
        left, self._unprepared = self._unprepared, []
        async with asyncio.TaskGroup() as group:
            for item in left:
                group.create_task(self._load(item))

    async def watch(self, wanted: Sequence[Wanted]) -> None:
        """Load a model anew when its files change. Runs until cancelled; what runs may end."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._clock.sleep(WATCH_SECONDS)
                for item in wanted:
                    if await self._has_changed(item):
                        _log.info("%s changed: it is loaded anew", item.name)
                        # beside: a new environment may take minutes, and other models change meanwhile
                        group.create_task(self._load(item))

    async def look_again(self, wanted: Sequence[Wanted]) -> None:
        """Load anew, once, what has changed or is broken; what runs may end."""
        async with asyncio.TaskGroup() as group:
            for item in wanted:
                if await self._has_changed(item) or item.name in self._catalog.faults:
                    group.create_task(self._load(item))

    async def _has_changed(self, item: Wanted) -> bool:
        """Whether its files are others than at the last look."""
        try:
            digest = await self._digest(await anyio.to_thread.run_sync(item.read))
        except HalleyError as error:
            self._note_unread(item, str(error))
            return False
        self._unread.pop(item.name, None)
        known = self._digest_of.get(item.name)
        self._digest_of[item.name] = digest
        return digest != known

    def _note_unread(self, item: Wanted, reason: str) -> None:
        """A file may be half-saved: what is wrong is only believed when it is so at two looks."""
        if self._unread.get(item.name) == reason:
            self._report(item, reason)
            self._digest_of.pop(item.name, None)  # also when it becomes again what it was
        self._unread[item.name] = reason

    async def _load(self, item: Wanted, *, may_build: bool = True) -> None:
        turn = self._turns[item.name] = self._turns.get(item.name, 0) + 1
        try:
            source = await anyio.to_thread.run_sync(item.read)
            source = await anyio.to_thread.run_sync(self._environments.settle, source)
            digest = await self._digest(source)
            self._digest_of[item.name] = digest
            if await self._must_build(source, digest):
                if not may_build:
                    self._catalog.expect(self._model(item), "its environment is being built")
                    self._unprepared.append(item)
                    return
                await self._environments.prepare(source)
            async with self._inspecting:
                version = await self._described(item, source, digest)
            if self._turns[item.name] == turn:  # else its files have changed meanwhile
                await self._serve(item, source, version)
        except HalleyError as error:
            if self._turns[item.name] == turn:
                self._report(item, str(error))
        except Exception:  # noqa: BLE001 - whatever it is, the other models are served
            _log.exception("%s could not be loaded", item.name)
            self._report(item, _INTERNAL)
        if may_build and self._turns[item.name] == turn:
            self._catalog.preparing.pop(item.name, None)

    async def _serve(self, item: Wanted, source: ModelSource, version: Version) -> None:
        stored = await self._register(item, version)
        for warning in source.warnings:
            _log.warning("%s: %s", item.name, warning)
        self._provider.add(stored.id, source)
        old = self._versions.get(item.name)
        self._versions[item.name] = stored.id
        was_loaded = old is not None and self._provider.is_loaded(old)
        if item.preload or source.pinned or was_loaded:
            self._provider.preload(stored.id)
        self._on_ready()
        if old is not None and old != stored.id and await self._provider.retire(old):
            self._catalog.drop(old)

    def _report(self, item: Wanted, reason: str) -> None:
        if self._catalog.standing(item.name).reason == reason:
            return  # said before
        self._catalog.report_fault(self._model(item), reason)
        if item.name in self._versions:
            _log.error("%s could not be loaded anew, and is served as it was before: %s", item.name, reason)
        else:
            _log.error("%s is not served: %s", item.name, reason)

    async def _digest(self, source: ModelSource) -> str:
        async with self._digesting:
            return await anyio.to_thread.run_sync(source_digest, source, self._digests)

    def _model(self, item: Wanted) -> Model:
        owner, _, name = item.name.partition("/")
        return Model(
            owner=owner,
            name=name,
            description=item.description,
            is_official=item.is_official,
            created_at=self._clock.now(),
        )

    async def _must_build(self, source: ModelSource, digest: str) -> bool:
        """Whether the model cannot be known before its environment is there."""
        if self._environments.is_ready(source):
            return False
        if self._environments.lock_of(source) is None:
            return True
        return source.openapi_schema is None and await self._known_schema(source.name, digest) is None

    async def _described(self, item: Wanted, source: ModelSource, digest: str) -> Version:
        schema = await self._known_schema(item.name, digest)
        if schema is None:
            schema = (await inspect(source, environ=self._environ)).openapi_schema
        return Version(
            id=version_id(digest, schema, self._environment_of(source)),
            model=item.name,
            created_at=self._clock.now(),
            openapi_schema=schema,
            source_digest=digest,
            run_timeout_seconds=source.run_timeout_seconds,
        )

    async def _register(self, item: Wanted, version: Version) -> Version:
        async with self._registering:  # equal models must not both find their id free
            own = msgspec.structs.replace(version, id=await self._free_id(item.name, version.id))
            try:
                return await self._catalog.register(self._model(item), own)
            except Unusable as error:
                raise Unusable(f"{item.name}: {error}") from error

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
