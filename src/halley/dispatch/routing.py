"""Which provider serves a version: looked up for each one."""

from collections.abc import Mapping

from halley.dispatch.ports import Provider
from halley.models.catalog import Catalog


class OneProvider:
    """Fulfils `ports.ProviderRouter`: the same provider serves all."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def of(self, version: str) -> Provider:
        del version
        return self._provider


class CatalogRouter:
    """Fulfils `ports.ProviderRouter`: a version is served by the provider whose name its record has, else locally."""

    def __init__(self, catalog: Catalog, *, local: Provider, others: Mapping[str, Provider]) -> None:
        """`others` by the word in `Version.provider`."""
        self._catalog = catalog
        self._local = local
        self._others = others

    def of(self, version: str) -> Provider:
        runnable = self._catalog.by_id(version)
        return self._local if runnable is None else self._others.get(runnable.version.provider, self._local)
