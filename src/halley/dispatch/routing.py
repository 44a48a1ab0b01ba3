"""Finds the provider of each version."""

from collections.abc import Mapping

import msgspec

from halley.dispatch.ports import HeldSlot, OtherPlaces, Provider, ProviderRouter, SubmitQuota, SubmitReports
from halley.models.catalog import Catalog
from halley.predictions.queue import Claimed
from halley.settings import LOCAL


class ProviderRoute(msgspec.Struct, frozen=True):
    """The provider that runs a prediction, and its name.

    `is_former`: this provider has the run, but the held slot is of another one; then it is dropped. `is_missing`: this
    process does not have the recorded provider, and `provider` is the one of the slot.
    """

    provider: Provider
    name: str
    is_former: bool = False
    is_missing: bool = False
    slot: HeldSlot | None = None  # the held one, if this provider has it

    @property
    def place(self) -> str:
        """Stands for the address and token of the provider, "<of the address>.<of both>"; "" if that makes no
        difference.
        """
        return str(getattr(self.provider, "place", ""))

    @property
    def may_share_run_ids(self) -> bool:
        """Whether the same id may name another run at another address: the service may count its runs."""
        return bool(getattr(self.provider, "may_share_run_ids", False))

    @property
    def quota(self) -> SubmitQuota | None:
        """How its submits are counted; None: they are not."""
        return None if self.slot is None else self.slot.quota

    @property
    def reports(self) -> SubmitReports | None:
        """What learns from its submits."""
        return None if self.slot is None else self.slot.reports

    @property
    def others(self) -> OtherPlaces | None:
        """The other providers that the version may run at."""
        return None if self.slot is None else self.slot.others


def held(slot: HeldSlot) -> ProviderRoute:
    """The provider of the slot."""
    return ProviderRoute(slot.provider, slot.name, slot=slot)


def route(providers: ProviderRouter, claimed: Claimed, slot: HeldSlot) -> ProviderRoute:
    """The provider whose slot is held; for a submitted prediction, the provider that has its run.

    If that is another one, the slot is dropped.
    """
    submitted_to = claimed.prediction.provider
    if claimed.recorded is None or submitted_to == slot.name:
        return held(slot)
    slot.provider.drop_slot(claimed.prediction.version)
    former = providers.named(submitted_to)
    return ProviderRoute(former or slot.provider, submitted_to, is_former=True, is_missing=former is None)


class OneProvider:
    """Implements `ports.ProviderRouter`: the same provider for all versions."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def of(self, version: str) -> Provider:
        del version
        return self._provider

    def held(self, version: str) -> HeldSlot:
        del version
        return HeldSlot(LOCAL, self._provider)

    def named(self, name: str) -> Provider | None:
        return self._provider if name == LOCAL else None

    def note_waiting(self, waiting: Mapping[str, int]) -> None:
        """It makes no difference here."""


class CatalogRouter:
    """Implements `ports.ProviderRouter`: the provider named in the version's record, otherwise the local one."""

    def __init__(self, catalog: Catalog, *, local: Provider, others: Mapping[str, Provider]) -> None:
        """`others` by the value of `Version.provider`."""
        self._catalog = catalog
        self._local = local
        self._others = others

    def of(self, version: str) -> Provider:
        return self.held(version).provider

    def held(self, version: str) -> HeldSlot:
        runnable = self._catalog.by_id(version) if self._others else None
        name = LOCAL if runnable is None or runnable.version.provider not in self._others else runnable.version.provider
        return HeldSlot(name, self._others.get(name, self._local))

    def named(self, name: str) -> Provider | None:
        return self._local if name == LOCAL else self._others.get(name)

    def note_waiting(self, waiting: Mapping[str, int]) -> None:
        """It makes no difference here."""
