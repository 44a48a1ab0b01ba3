"""Finds the provider of each version."""

from collections.abc import Mapping

from halley.dispatch.ports import Provider
from halley.models.catalog import Catalog


class OneProvider:
    """Implements `ports.ProviderRouter`: the same provider for all versions."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def of(self, version: str) -> Provider:
        del version
        return self._provider


class CatalogRouter:
    """Implements `ports.ProviderRouter`: the provider named in the version's record, otherwise the local one."""

    def __init__(self, catalog: Catalog, *, local: Provider, others: Mapping[str, Provider]) -> None:
        """`others` by the value of `Version.provider`."""
        self._catalog = catalog
        self._local = local
        self._others = others

    def of(self, version: str) -> Provider:
        runnable = self._catalog.by_id(version)
        return self._local if runnable is None else self._others.get(runnable.version.provider, self._local)
