"""Models and versions as values."""

from datetime import datetime
from typing import Final, Literal

import msgspec

LOCAL: Final = "local"
"""The provider of a version that runs on this machine."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A named model. Source: contract section 10.1."""

    owner: str
    name: str
    description: str | None = None
    visibility: Literal["public", "private"] = "public"
    is_official: bool = False
    github_url: str | None = None
    paper_url: str | None = None
    license_url: str | None = None
    cover_image_url: str | None = None
    default_example_id: str | None = None
    latest_version_id: str | None = None
    retention: str | None = None  # how long its predictions keep their data; None: the server's setting
    run_count: int = 0
    created_at: datetime
    latest_version_at: datetime | None = None

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A fixed build of a model. Source: contract section 10.2; the id as D29."""

    id: str  # 64 hex: sha256 over source files, schema (if it is known at once) and environment
    model: str  # owner/name
    created_at: datetime
    cog_version: str = "0.23.1"
    openapi_schema: bytes  # the JSON document; readers use components.schemas.Input and .Output; b"" until it is known
    source_digest: str = ""  # finds the version again if the folder has not changed
    provider: str = LOCAL
    run_timeout_seconds: float | None = None  # None: the server's default
    counts_written: bool = False  # the source digest may include files that the model itself wrote into its folder

    @property
    def is_described(self) -> bool:
        """Whether its schema is known. Only such versions are stored."""
        return bool(self.openapi_schema)
