"""The store's interface for models."""

from collections.abc import Awaitable
from typing import NamedTuple, Protocol

from halley.clock import to_micros
from halley.models.records import Model, Version


class ModelAge(NamedTuple):
    """When a model was created, or got its newest version if it has any: microseconds since 1970."""

    at: int
    full_name: str


def age_of(model: Model, *, of_creation: bool) -> ModelAge:
    """The age of one model."""
    at = model.created_at if of_creation else model.latest_version_at or model.created_at
    return ModelAge(to_micros(at), model.full_name)


class ModelStore(Protocol):
    """Stored models and versions. Writing methods are durable when their awaitable is done."""

    def put_model(self, model: Model) -> Awaitable[None]:
        """Insert or replace by owner and name; `run_count` and `created_at` of a stored one are kept."""
        ...

    def put_version(self, version: Version) -> Awaitable[Version]:
        """Insert the version and make it the model's latest; an existing id keeps its `created_at`. Returns the stored
        version.

        The model must be stored first.
        """
        ...

    async def get_model(self, owner: str, name: str) -> Model | None: ...

    async def list_models(self) -> list[Model]:
        """All models; the model with the newest version comes first."""
        ...

    async def model_ages(self, *, of_creation: bool) -> list[ModelAge]:
        """All models, the newest first, without reading the rest of them."""
        ...

    async def get_version(self, version_id: str) -> Version | None: ...

    async def version_ids(self, model: str) -> list[str]:
        """The ids of all versions of `owner/name`, newest first."""
        ...

    async def list_versions(self, model: str) -> list[Version]:
        """All versions of `owner/name`, newest first."""
        ...


class ModelFinder(Protocol):
    """Finds models that other places have, when a request names them."""

    async def find(self, reference: str) -> bool:
        """Make `owner/name` or `owner/name:version` runnable, if a place elsewhere has it.

        Raises:
            Overloaded: no place has it, and one of them cannot be asked now.
        """
        ...

    def has_route(self, version: Version) -> bool:
        """Whether a version of a place elsewhere may be run now."""
        ...

    def refresh(self, version: Version) -> None:
        """A request uses this version of a place elsewhere: ask for a newer one behind the answer, if it is time."""
        ...
