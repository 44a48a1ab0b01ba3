"""A whole store: the ports of all parts that store something, implemented by one object over one database.

A new store needs a folder beside this file with an `open_...` function, and its line in `halley.app.stores`.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from halley.assets.ports import BlobLedger, FileStore
from halley.bulk.ports import BulkStore
from halley.errors import Unusable
from halley.keys.ports import KeyStore, SignInStore
from halley.models.ports import ModelStore
from halley.predictions.attendance import AttendanceStore
from halley.predictions.change_log import ChangeLog
from halley.predictions.ports import PredictionStore
from halley.predictions.queue import MaintainedQueue
from halley.predictions.repeats import RepeatStore
from halley.predictions.reruns import RerunStore
from halley.predictions.search import SearchStore
from halley.predictions.settlements import SettlementStore
from halley.retention.ports import DataStore
from halley.webhooks.ports import DeliveryStore, SecretStore


class Deliveries(DeliveryStore, SecretStore, Protocol):
    """Both ports of webhooks; one part of the store implements them."""


class StoreHealth(Protocol):
    """Whether the store accepts writes now."""

    @property
    def broken(self) -> Unusable | None:
        """Why nothing can be written any more, or None: then the process must end."""
        ...

    @property
    def fullness(self) -> str | None:
        """Why no account may queue another prediction, or None."""
        ...

    @property
    def refusals(self) -> int:
        """How many writes the disk or another process refused since the start."""
        ...

    async def try_write(self) -> None:
        """Write something, durably.

        Raises:
            StorageFull, Overloaded: a create would be refused now, too.
        """
        ...


class Store(
    PredictionStore,
    SearchStore,
    RepeatStore,
    AttendanceStore,
    MaintainedQueue,
    SettlementStore,
    RerunStore,
    BulkStore,
    ModelStore,
    KeyStore,
    SignInStore,
    BlobLedger,
    DataStore,
    ChangeLog,
    StoreHealth,
    Protocol,
):
    """All stored data, in one database: writes that belong together are one transaction."""

    @property
    def files(self) -> FileStore:
        """The files that clients uploaded."""
        ...

    @property
    def deliveries(self) -> Deliveries:
        """Webhook messages, attempts and secrets."""
        ...


OpenStore = Callable[..., AbstractAsyncContextManager[Store]]
"""Opens a store at a path, with the keywords `clock`, `limits` (QueueLimits), `keep_backups` and `is_shared` (whether
other processes write to it as well); closes it after the block.
"""
