"""Collections, search, and lists that are always empty here. Source: contract section 10."""

from typing import Any

import msgspec
from msgspec import Raw

from halley.api.presentation.wire.values import ListPage


class CollectionBody(msgspec.Struct, kw_only=True):
    """Models that the operator has grouped. One client requires slug, name and description as text."""

    name: str
    slug: str
    description: str
    full_description: str | None


class FullCollection(CollectionBody, kw_only=True):
    """With its models."""

    models: list[Raw]


class CollectionPage(ListPage, kw_only=True):
    """All collections."""

    results: list[CollectionBody]


class FoundMetadata(msgspec.Struct, kw_only=True):
    """Why a model was found."""

    generated_description: str
    score: float
    tags: list[str]


class FoundModel(msgspec.Struct, kw_only=True):
    """A model that matches."""

    model: Raw
    metadata: FoundMetadata


class FoundPage(msgspec.Struct, kw_only=True):
    """A page of a manual; this server never returns one."""

    name: str
    href: str


class SearchResult(msgspec.Struct, kw_only=True):
    """The results of a search, best first."""

    query: str
    models: list[FoundModel]
    collections: list[CollectionBody]
    pages: list[FoundPage]


class EmptyPage(ListPage, kw_only=True):
    """A page of a list that is always empty on this server."""

    results: list[dict[str, Any]]
