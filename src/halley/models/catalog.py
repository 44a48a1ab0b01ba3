"""Which version a request means. Kept in memory, because every create asks; written through to the store."""

import re
from typing import Final

from halley.errors import Overloaded, VersionUnknown
from halley.models.ports import ModelStore
from halley.models.records import Model, Version
from halley.models.validation import InputSchema, uses_files

PREPARING_SECONDS: Final = 5  # an environment is built in seconds or minutes
_REFERENCE: Final = re.compile(
    r"(?:(?P<owner>[\w.\-]{1,100})/(?P<name>[\w.\-]{1,100})(?::(?P<tag>[\w.\-]{1,100}))?|(?P<hex>[0-9a-f]{64}))",
    re.ASCII,
)


class Runnable:
    """A version and its compiled schema."""

    __slots__ = ("schema", "uses_files", "version")

    def __init__(self, version: Version) -> None:
        self.version = version
        self.schema = InputSchema(version.openapi_schema)
        self.uses_files = uses_files(version.openapi_schema)  # others never need a run folder


class Catalog:
    """Models that can be run here. `load` first; `register` adds and survives restarts."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._runnable: dict[str, Runnable] = {}
        self._latest: dict[str, str] = {}
        self.is_loading = False  # while it is, what is unknown may only be late
        self.preparing: dict[str, str] = {}  # models that will be there, and what they wait for
        self.faults: dict[str, str] = {}  # models that will not be, and why

    async def register(self, model: Model, version: Version) -> Version:
        """Store a model and its newest version, and make both runnable."""
        runnable = Runnable(version)  # an unusable schema is refused before anything is stored
        await self._store.put_model(model)
        stored = await self._store.put_version(version)
        runnable.version = stored
        self._runnable[stored.id] = runnable
        self._latest[model.full_name] = stored.id
        return stored

    def withdraw(self, model: str) -> None:
        """The model is no longer served: creates for it are refused, its history stays readable."""
        self._latest.pop(model, None)
        for version_id in [vid for vid, runnable in self._runnable.items() if runnable.version.model == model]:
            del self._runnable[version_id]

    def drop(self, version_id: str) -> None:
        """This version can be run no longer; one that is its model's latest stays."""
        if version_id not in self._latest.values():
            self._runnable.pop(version_id, None)

    def names(self) -> list[str]:
        """`owner/name` of all models that can be run."""
        return sorted(self._latest)

    @property
    def may_still_come(self) -> bool:
        """Whether a version that is unknown now may be known later without anybody's doing."""
        return self.is_loading or bool(self.preparing)

    def by_id(self, version_id: str) -> Runnable | None:
        return self._runnable.get(version_id)

    def resolve(self, reference: str) -> Runnable:
        """The version that `owner/name`, `owner/name:version`, `owner/name:latest` or 64 hex digits mean.

        Source: contract sections 6.2 and 6.5.

        Raises:
            VersionUnknown: there is none, or it cannot run here.
            Overloaded: not known yet; the models of this server are still being loaded.
        """
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
            if model not in self._latest:
                self._say_why_not(model)
        elif (runnable := self._runnable.get(version_id)) is not None:
            return runnable
        if self.may_still_come:
            waits = f" ({', '.join(sorted(self.preparing))})" if self.preparing else ""
            raise Overloaded(f"The models of this server are still being loaded{waits}; try again in a moment.")
        raise VersionUnknown(
            f"The specified version {reference[:120]!r} does not exist here, or may not be run. "
            f"Models that can run: {', '.join(self.names()[:20]) or 'none'}"
        )

    def _say_why_not(self, model: str) -> None:
        if model in self.preparing:
            raise Overloaded(
                f"The model {model} cannot run yet: {self.preparing[model]}; try again in a while.",
                retry_after_seconds=PREPARING_SECONDS,
            )
        if model in self.faults:
            raise VersionUnknown(f"The model {model} is not served here: {self.faults[model].splitlines()[0]}")
