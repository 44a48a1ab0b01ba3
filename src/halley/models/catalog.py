"""Finds the version that a request names. Kept in memory, because every create needs it; changes are also stored."""

import re
from typing import Final, Literal

import msgspec

from halley.clock import EPOCH
from halley.errors import ModelBroken, Overloaded, VersionUnknown
from halley.models.ports import ModelAge, ModelFinder, ModelStore, age_of
from halley.models.records import Model, Version
from halley.models.validation import UNCHECKED, AnyInput, InputSchema, uses_files
from halley.settings import LOCAL

PREPARING: Final = "its environment is being built"
REASON_CHARS: Final = 1500  # of a broken model's reason in an error: the last lines of pip, not a whole log
_REFERENCE: Final = re.compile(
    r"(?:(?P<owner>[\w.\-]{1,100})/(?P<name>[\w.\-]{1,100})(?::(?P<tag>[\w.\-]{1,100}))?|(?P<hex>[0-9a-f]{64}))",
    re.ASCII,
)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a model can run here; `reason` says why not, or what is wrong with its files while an older
    version runs.
    """

    state: Literal["ready", "preparing", "broken", "not_served"]
    reason: str | None = None


class Runnable:
    """A version and its compiled schema; a version without a schema yet accepts any input."""

    __slots__ = ("is_checked", "is_described", "schema", "uses_files", "version")

    def __init__(self, version: Version) -> None:
        self.version = version
        self.is_described: Final = version.is_described  # it can run now; False: requests for it are only accepted
        self.schema: InputSchema | AnyInput = AnyInput()
        self.is_checked = version.openapi_schema != UNCHECKED  # otherwise its place has no schema: every input passes
        self.uses_files = False  # a version without files needs no run folder
        if self.is_described:
            self.schema = InputSchema(version.openapi_schema)
            self.uses_files = uses_files(version.openapi_schema)


class Catalog:
    """The models that can run here. Call `load` first; `register` adds a model durably."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._runnable: dict[str, Runnable] = {}
        self._latest: dict[str, str] = {}
        self.is_loading = False  # while True, an unknown model may only be loading
        self.faults: dict[str, str] = {}  # models whose present files cannot be used, and why
        self.finder: ModelFinder | None = None  # of models elsewhere
        self._unstored: dict[str, Model] = {}  # models that may never have had a version

    async def register(self, model: Model, version: Version) -> Version:
        """Store a model and its newest version, and make both runnable. If they are stored already, nothing is written.

        So a server can start and serve stored models while its store refuses writes.
        """
        runnable = Runnable(version)  # an invalid schema is refused before anything is stored
        stored = await self._stored(model, version)
        if stored is None:
            await self._store.put_model(model)
            stored = await self._store.put_version(version)
        runnable.version = stored
        self._runnable[stored.id] = runnable
        self._latest[model.full_name] = stored.id
        self.faults.pop(model.full_name, None)
        self._unstored.pop(model.full_name, None)
        return stored

    async def add_earlier(self, model: Model, version: Version) -> None:
        """Store another version than the newest, and make it runnable; if the model has no version, it is the newest.

        Raises:
            Unusable: its schema is invalid; nothing was stored.
        """
        known = await self._store.get_model(model.owner, model.name)
        if known is None or known.latest_version_id is None:
            await self.register(model, version)
            return
        runnable = Runnable(version)
        runnable.version = await self._store.put_version(version)
        await self._store.put_model(known)  # with the newest version that it had
        self._runnable[version.id] = runnable

    async def _stored(self, model: Model, version: Version) -> Version | None:
        """The stored version, if storing model and version would change nothing."""
        known = await self._store.get_model(model.owner, model.name)
        if known is None or known.latest_version_id != version.id or _without_history(known) != _without_history(model):
            return None
        stored = await self._store.get_version(version.id)
        if stored is None or msgspec.structs.replace(stored, created_at=version.created_at) != version:
            return None
        return stored

    def expect(self, model: Model, version: Version) -> None:
        """Accept requests for the model before its newest version is registered, which needs its schema."""
        self._runnable[version.id] = Runnable(version)
        self._latest[model.full_name] = version.id
        self._unstored[model.full_name] = model
        self.faults.pop(model.full_name, None)

    def accept_earlier(self, version: Version) -> None:
        """Accept requests for an earlier version of a model by its id: the present source is the same."""
        self._runnable.setdefault(version.id, Runnable(version))

    def offer(self, version: Version, *, is_latest: bool) -> None:
        """Workers of other processes run this stored version: requests for it are accepted. Nothing is stored."""
        if version.id not in self._runnable:
            self._runnable[version.id] = Runnable(version)
        if is_latest:
            self._latest[version.model] = version.id

    def report_fault(self, model: Model, reason: str) -> None:
        """Record that the model's files cannot be used. An older version that runs here stays in service."""
        self.faults[model.full_name] = reason
        self._unstored[model.full_name] = model

    def withdraw(self, model: str) -> None:
        """Serve the model no longer: creates for it are refused, its history stays readable."""
        self._latest.pop(model, None)
        for version_id in [vid for vid, runnable in self._runnable.items() if runnable.version.model == model]:
            del self._runnable[version_id]

    def drop(self, version_id: str) -> None:
        """Forget this version, which cannot run any more; the latest version of a model stays."""
        if version_id not in self._latest.values():
            self._runnable.pop(version_id, None)

    async def models(self) -> list[Model]:
        """All known models: those of the store, and those that wait for their first version."""
        unstored = dict(self._unstored)  # before the store is read: one that is stored meanwhile is in this at least
        stored = await self._store.list_models()
        known = {model.full_name for model in stored}
        return [*stored, *(model for name, model in unstored.items() if name not in known)]

    async def ages(self, *, of_creation: bool) -> list[ModelAge]:
        """The ages of the same, the newest first."""
        unstored = dict(self._unstored)  # as in `models`
        stored = await self._store.model_ages(of_creation=of_creation)
        if not unstored:
            return stored
        known = {age.full_name for age in stored}
        others = [age_of(model, of_creation=of_creation) for name, model in unstored.items() if name not in known]
        return sorted([*stored, *others], reverse=True)

    async def model(self, owner: str, name: str) -> Model | None:
        """One of `models`, or one that a place elsewhere has.

        Raises:
            Overloaded: no such model is known, and a place that may have it cannot be asked now.
        """
        known = await self.known_model(owner, name)
        if known is None and await self.is_elsewhere(f"{owner}/{name}"):
            return await self._store.get_model(owner, name)
        return known

    async def known_model(self, owner: str, name: str) -> Model | None:
        """One of `models`; no place elsewhere is asked."""
        return await self._store.get_model(owner, name) or self._unstored.get(f"{owner}/{name}")

    def standing(self, model: str) -> Standing:
        """Whether the model `owner/name` can run here."""
        latest = self._runnable.get(self._latest.get(model, ""))
        if latest is not None and not latest.is_described:
            return Standing(state="preparing", reason=PREPARING)
        if latest is not None:
            return Standing(state="ready", reason=self.faults.get(model))
        if model in self.faults:
            return Standing(state="broken", reason=self.faults[model])
        return Standing(state="not_served")

    @property
    def broken(self) -> dict[str, str]:
        """The models that cannot run until they are repaired, by name, with the reason."""
        return {name: reason for name, reason in sorted(self.faults.items()) if self.is_broken(name)}

    def is_broken(self, model: str) -> bool:
        """Whether the model is served but cannot run until its files are repaired."""
        return self.standing(model).state == "broken"

    def knows(self, model: str) -> bool:
        """Whether requests can name the model `owner/name`."""
        return model in self._latest

    def names(self) -> list[str]:
        """`owner/name` of all models that requests can name."""
        return sorted(self._latest)

    @property
    def preparing(self) -> list[str]:
        """Those of `names` that cannot run yet."""
        return [name for name in self.names() if not self._runnable[self._latest[name]].is_described]

    def described(self) -> frozenset[str]:
        """The ids of all versions that can run."""
        return frozenset(version_id for version_id, runnable in self._runnable.items() if runnable.is_described)

    def by_id(self, version_id: str) -> Runnable | None:
        return self._runnable.get(version_id)

    async def find(self, reference: str) -> Runnable:
        """The version for a reference, which a place elsewhere may have. See `resolve`.

        Raises as `resolve` does, and:
            Overloaded: a place that may have it cannot be asked now.
        """
        runnable = self.find_at_once(reference)
        if runnable is None:
            await self.is_elsewhere(reference)
            return self.resolve(reference)
        return runnable

    async def is_elsewhere(self, reference: str) -> bool:
        """Whether a place elsewhere has this version; then it is known here from now on.

        Raises:
            Overloaded: that cannot be asked now.
        """
        return self.finder is not None and await self.finder.find(reference)

    def find_at_once(self, reference: str) -> Runnable | None:
        """As `find`, without waiting; None if a place elsewhere must be asked."""
        runnable = self._runnable.get(self._latest.get(reference, ""))
        if runnable is None or runnable.version.model != reference:  # as `resolve`
            try:
                runnable = self.resolve(reference)
            except VersionUnknown:
                if self.finder is None:
                    raise
                return None
        if self.finder is not None and runnable.version.provider != LOCAL:
            if not self.finder.has_route(runnable.version):
                raise VersionUnknown(f"The version {reference[:120]!r} has no route to a provider any more.")
            self.finder.refresh(runnable.version)
        return runnable

    def resolve(self, reference: str) -> Runnable:
        """The version for `owner/name`, `owner/name:version`, `owner/name:latest` or 64 hex digits.

        Source: contract sections 6.2 and 6.5.

        Raises:
            VersionUnknown: it does not exist, or cannot run here.
            ModelBroken: its model is configured, but cannot run with its present files.
            Overloaded: not known yet; the models of this server are still being loaded.
        """
        newest = self._runnable.get(self._latest.get(reference, ""))
        if newest is not None and newest.version.model == reference:  # the usual way of a create: the path names it
            return newest
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise VersionUnknown(
                f"{reference[:120]!r} is not a version: give owner/name, owner/name:version or 64 hex digits"
            )
        version_id = found["hex"]
        if version_id is None:
            model = f"{found['owner']}/{found['name']}"
            tag = found["tag"]
            version_id = self._latest.get(model, "") if tag in (None, "latest") else tag
            runnable = self._runnable.get(version_id)
            if runnable is not None and runnable.version.model == model:
                return runnable
            if model not in self._latest and model in self.faults:
                raise ModelBroken(f"The model {model} is broken: {_shortened(self.faults[model])}")
        elif (runnable := self._runnable.get(version_id)) is not None:
            return runnable
        if self.is_loading:
            raise Overloaded("The models of this server are still being loaded; try again in a moment.")
        raise VersionUnknown(
            f"The specified version {reference[:120]!r} does not exist on this server, or you may not run it. "
            f"Models that can run: {', '.join(self.names()[:20]) or 'none'}"
        )


def _without_history(model: Model) -> Model:
    """The parts of a model that come from its folder."""
    return msgspec.structs.replace(model, latest_version_id=None, latest_version_at=None, run_count=0, created_at=EPOCH)


def _shortened(reason: str) -> str:
    if len(reason) <= REASON_CHARS:
        return reason
    return f"{reason[: REASON_CHARS // 2]} [...] {reason[-REASON_CHARS // 2 :]}"
