"""Models and versions: `ModelStore` in SQL."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Awaitable
from typing import Any, Final

from halley.clock import from_micros, to_micros
from halley.errors import HalleyError, NotFound
from halley.models.ports import ModelAge
from halley.models.records import Model, Version
from halley.store.sqlite.parts import SqlitePart

_MODEL_COLUMNS: Final = (
    "owner, name, description, visibility, is_official, github_url, paper_url, license_url, cover_image_url,"
    " default_example_id, latest_version_id, run_count, created_at, latest_version_at, retention"
)
# Stored values stay if the new record does not have them: a folder that is served again knows no version yet.
_PUT_MODEL: Final = (
    f"INSERT INTO models ({_MODEL_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (owner, name) DO UPDATE SET description = excluded.description, visibility = excluded.visibility,"
    " is_official = excluded.is_official, github_url = excluded.github_url, paper_url = excluded.paper_url,"
    " license_url = excluded.license_url, cover_image_url = excluded.cover_image_url,"
    " default_example_id = excluded.default_example_id, retention = excluded.retention,"
    " latest_version_id = coalesce(excluded.latest_version_id, latest_version_id),"
    " latest_version_at = coalesce(excluded.latest_version_at, latest_version_at)"
)
_SELECT_MODEL: Final = f"SELECT {_MODEL_COLUMNS} FROM models WHERE owner = ? AND name = ?"
_LIST_MODELS: Final = (
    f"SELECT {_MODEL_COLUMNS} FROM models ORDER BY coalesce(latest_version_at, created_at) DESC, owner, name"
)
_AGES: Final = "SELECT {}, owner || '/' || name FROM models ORDER BY 1 DESC, 2 DESC"
_BY_CREATION: Final = _AGES.format("created_at")
_BY_VERSION: Final = _AGES.format("coalesce(latest_version_at, created_at)")
_SET_LATEST: Final = "UPDATE models SET latest_version_id = ?, latest_version_at = ? WHERE owner = ? AND name = ?"

_VERSION_COLUMNS: Final = (
    "id, owner, name, created_at, cog_version, openapi_schema, source_digest, provider, run_timeout_seconds,"
    " counts_written"
)
_PUT_VERSION: Final = (
    f"INSERT INTO versions ({_VERSION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, name = excluded.name, cog_version = excluded.cog_version,"
    " openapi_schema = excluded.openapi_schema, source_digest = excluded.source_digest, provider = excluded.provider,"
    " run_timeout_seconds = excluded.run_timeout_seconds, counts_written = excluded.counts_written"
)
_SELECT_VERSION: Final = f"SELECT {_VERSION_COLUMNS} FROM versions WHERE id = ?"
_VERSION_IDS: Final = "SELECT id FROM versions WHERE owner = ? AND name = ? ORDER BY created_at DESC, id DESC"
_LIST_VERSIONS: Final = (
    f"SELECT {_VERSION_COLUMNS} FROM versions WHERE owner = ? AND name = ? ORDER BY created_at DESC, id DESC"
)


class ModelRows(SqlitePart):
    """Implements `models.ports.ModelStore`."""

    def put_model(self, model: Model) -> Awaitable[None]:
        return self._writer.submit(_put_model, model)

    def put_version(self, version: Version) -> Awaitable[Version]:
        return self._writer.submit(_put_version, version)

    async def get_model(self, owner: str, name: str) -> Model | None:
        row = self._reads.one(_SELECT_MODEL, owner, name)
        return None if row is None else _read_model(row)

    async def list_models(self) -> list[Model]:
        return await self._reads.elsewhere(_list_models)

    async def model_ages(self, *, of_creation: bool) -> list[ModelAge]:
        return await self._reads.elsewhere(_ages, _BY_CREATION if of_creation else _BY_VERSION)

    async def get_version(self, version_id: str) -> Version | None:
        row = self._reads.one(_SELECT_VERSION, version_id)
        return None if row is None else _read_version(row)

    async def version_ids(self, model: str) -> list[str]:
        owner, _, name = model.partition("/")
        return [version_id for (version_id,) in self._reads.all(_VERSION_IDS, owner, name)]

    async def list_versions(self, model: str) -> list[Version]:
        owner, _, name = model.partition("/")
        return await self._reads.elsewhere(_list_versions, owner, name)  # schemas may be long


def _put_model(connection: sqlite3.Connection, model: Model) -> None:
    connection.execute(
        _PUT_MODEL,
        (
            model.owner,
            model.name,
            model.description,
            model.visibility,
            model.is_official,
            model.github_url,
            model.paper_url,
            model.license_url,
            model.cover_image_url,
            model.default_example_id,
            model.latest_version_id,
            model.run_count,
            to_micros(model.created_at),
            None if model.latest_version_at is None else to_micros(model.latest_version_at),
            model.retention,
        ),
    )


def _put_version(connection: sqlite3.Connection, version: Version) -> Version | HalleyError:
    owner, _, name = version.model.partition("/")
    if connection.execute(_SELECT_MODEL, (owner, name)).fetchone() is None:
        return NotFound(f"The model {version.model} must be stored before its version {version.id[:12]}.")
    connection.execute(
        _PUT_VERSION,
        (
            version.id,
            owner,
            name,
            to_micros(version.created_at),
            version.cog_version,
            version.openapi_schema,
            version.source_digest,
            version.provider,
            version.run_timeout_seconds,
            version.counts_written,
        ),
    )
    row = connection.execute(_SELECT_VERSION, (version.id,)).fetchone()
    connection.execute(_SET_LATEST, (version.id, row[3], owner, name))
    return _read_version(row)


def _list_models(connection: sqlite3.Connection) -> list[Model]:
    return [_read_model(row) for row in connection.execute(_LIST_MODELS)]


def _ages(connection: sqlite3.Connection, statement: str) -> list[ModelAge]:
    return [ModelAge(at, full_name) for at, full_name in connection.execute(statement)]


def _list_versions(connection: sqlite3.Connection, owner: str, name: str) -> list[Version]:
    return [_read_version(row) for row in connection.execute(_LIST_VERSIONS, (owner, name))]


def _read_model(row: Any) -> Model:
    return Model(
        owner=row[0],
        name=row[1],
        description=row[2],
        visibility=row[3],
        is_official=row[4] == 1,
        github_url=row[5],
        paper_url=row[6],
        license_url=row[7],
        cover_image_url=row[8],
        default_example_id=row[9],
        latest_version_id=row[10],
        run_count=row[11],
        created_at=from_micros(row[12]),
        latest_version_at=None if row[13] is None else from_micros(row[13]),
        retention=row[14],
    )


def _read_version(row: Any) -> Version:
    return Version(
        id=row[0],
        model=f"{row[1]}/{row[2]}",
        created_at=from_micros(row[3]),
        cog_version=row[4],
        openapi_schema=row[5],
        source_digest=row[6],
        provider=row[7],
        run_timeout_seconds=row[8],
        counts_written=row[9] == 1,
    )
