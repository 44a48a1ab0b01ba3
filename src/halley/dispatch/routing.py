"""Finds the provider of each version."""

from collections.abc import Mapping
from typing import Final

import msgspec

from halley.dispatch.ports import Provider, ProviderRouter
from halley.models.catalog import Catalog
from halley.predictions.queue import Claimed

LOCAL: Final = "local"


class ProviderRoute(msgspec.Struct, frozen=True):
    """The provider that runs a prediction, and its name.

    `is_former`: this provider has the run, but the version has another one now; then no slot is held. `is_missing`:
    this process does not have the recorded provider, and `provider` is the version's present one.
    """

    provider: Provider
    name: str
    is_former: bool = False
    is_missing: bool = False


def route(providers: ProviderRouter, claimed: Claimed) -> ProviderRoute:
    """The provider of the version; for a submitted prediction, the provider that has its run."""
    version, submitted_to = claimed.prediction.version, claimed.prediction.provider
    name, provider = providers.name_of(version), providers.of(version)
    if claimed.recorded is None or submitted_to == name:
        return ProviderRoute(provider, name)
    former = providers.named(submitted_to)
    return ProviderRoute(former or provider, submitted_to, is_former=True, is_missing=former is None)


class OneProvider:
    """Implements `ports.ProviderRouter`: the same provider for all versions."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def of(self, version: str) -> Provider:
        del version
        return self._provider

    def name_of(self, version: str) -> str:
        del version
        return LOCAL

    def named(self, name: str) -> Provider | None:
        return self._provider if name == LOCAL else None


class CatalogRouter:
    """Implements `ports.ProviderRouter`: the provider named in the version's record, otherwise the local one."""

    def __init__(self, catalog: Catalog, *, local: Provider, others: Mapping[str, Provider]) -> None:
        """`others` by the value of `Version.provider`."""
        self._catalog = catalog
        self._local = local
        self._others = others

    def of(self, version: str) -> Provider:
        return self._others.get(self.name_of(version), self._local) if self._others else self._local

    def name_of(self, version: str) -> str:
        if not self._others:
            return LOCAL
        runnable = self._catalog.by_id(version)
        return LOCAL if runnable is None or runnable.version.provider not in self._others else runnable.version.provider

    def named(self, name: str) -> Provider | None:
        return self._local if name == LOCAL else self._others.get(name)
