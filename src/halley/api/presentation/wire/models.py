"""Models and their versions. Source: contract section 10."""

from typing import Literal

import msgspec
from msgspec import Raw

from halley.api.presentation.wire.values import ListPage, Time


class VersionBody(msgspec.Struct, kw_only=True):
    """A fixed build of a model; `openapi_schema` is a whole OpenAPI document."""

    id: str
    created_at: Time
    cog_version: str
    openapi_schema: Raw


class ModelBody(msgspec.Struct, kw_only=True):
    """A model, with its newest version. `state` and `reason` are extensions: whether it can run here, and why not."""

    url: str
    owner: str
    name: str
    description: str
    visibility: Literal["public", "private"]
    is_official: bool
    github_url: str | None
    paper_url: str | None
    license_url: str | None
    run_count: int
    cover_image_url: str | None
    default_example: Raw
    latest_version: VersionBody | None
    state: Literal["ready", "preparing", "broken", "not_served"]
    reason: str | None


class ModelPage(ListPage, kw_only=True):
    """A page of models."""

    results: list[ModelBody]


class VersionPage(ListPage, kw_only=True):
    """A page of versions, newest first."""

    results: list[VersionBody]
