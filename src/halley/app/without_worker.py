"""Replaces the worker in a process that has none: workers of other processes run predictions and offer versions."""

from collections.abc import Collection
from typing import Final

from halley.clock import Clock
from halley.models.catalog import Catalog
from halley.models.records import Version
from halley.predictions.queue import Claimed
from halley.store.ports import Store

LOOK_SECONDS: Final = 1.0


class QueueOnly:
    """Implements `predictions.ports.Placement`: nothing begins here, everything waits for a worker."""

    def reserve(self, version: str, account_id: str) -> str | None:
        del version, account_id
        return None

    def begin(self, version: str, claimed: Claimed) -> None:
        raise RuntimeError(f"{claimed.prediction.id} of {version} was leased to a process without a worker")

    def give_up(self, version: str) -> None:
        del version


class OfferedModels:
    """Maintains the catalog from the offers of workers' sessions; schemas come from the store.

    A version that is not offered any more is accepted for some time: a restarting worker will offer it soon. So is,
    from the start, a configured model that the store knows.
    """

    def __init__(self, store: Store, catalog: Catalog, clock: Clock, *, kept_seconds: float) -> None:
        """`kept_seconds`: as long as the maintainer waits until a worker offers a version again."""
        self._kept_seconds = kept_seconds
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._offered_at: dict[str, float] = {}  # by version id, in elapsed time
        self._served: dict[str, Version] = {}
        self._expected: frozenset[str] = frozenset()
        self._late_until = clock.elapsed() + self._kept_seconds

    async def open(self, expected: Collection[str]) -> None:
        """Begin with the models (`owner/name`) of the configuration; until all are offered, unknown ones may only be
        late.
        """
        now = self._clock.elapsed()
        self._expected, self._late_until = frozenset(expected), now + self._kept_seconds
        for model in await self._store.list_models():
            if model.full_name in self._expected and model.latest_version_id is not None:
                self._offered_at[model.latest_version_id] = now
        await self.look()

    async def turn(self) -> None:
        """Wait until the next check is due, and check."""
        await self._clock.sleep(LOOK_SECONDS)
        await self.look()

    async def look(self) -> None:
        """Update the catalog."""
        now = self._clock.elapsed()
        self._offered_at |= dict.fromkeys(await self._store.offered(), now)
        self._offered_at = {one: at for one, at in self._offered_at.items() if now - at < self._kept_seconds}
        if self._offered_at.keys() != self._served.keys():
            await self._change()
        missing = self._expected.difference(version.model for version in self._served.values())
        self._catalog.is_loading = bool(missing) and now < self._late_until

    async def _change(self) -> None:
        found = [await self._store.get_version(one) for one in sorted(self._offered_at)]
        served = {version.id: version for version in found if version is not None}
        latest = {model: await self._latest(model, served) for model in {one.model for one in served.values()}}
        for model in {one.model for one in self._served.values()} - latest.keys():
            self._catalog.withdraw(model)
        for version in served.values():
            self._catalog.offer(version, is_latest=latest[version.model] == version.id)
        for gone in self._served.keys() - served.keys():
            self._catalog.drop(gone)
        self._served = served

    async def _latest(self, model: str, served: dict[str, Version]) -> str:
        """The newest offered version of the model."""
        return next(one for one in await self._store.version_ids(model) if one in served)
