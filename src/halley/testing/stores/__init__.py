"""The contract suites of the store's ports: subclass them, and provide the fixtures that they name.

A suite runs on anyio; `store` may be an async fixture.
"""

from halley.store.ports import Store
from halley.testing.stores.attendance import AttendanceStoreContract
from halley.testing.stores.bulk import BulkContract
from halley.testing.stores.deliveries import DeliveryStoreContract
from halley.testing.stores.duties import DutyStoreContract
from halley.testing.stores.files import BlobLedgerContract, FileStoreContract
from halley.testing.stores.keys import KeyStoreContract
from halley.testing.stores.leases import LeaseContract
from halley.testing.stores.lifecycle import LifecycleContract
from halley.testing.stores.maker import Maker, StoreSuite
from halley.testing.stores.models import ModelStoreContract
from halley.testing.stores.predictions import PredictionStoreContract
from halley.testing.stores.queue import ClaimContract, SharedTurnContract, TurnContract
from halley.testing.stores.repeats import RepeatStoreContract
from halley.testing.stores.reruns import RerunContract
from halley.testing.stores.rescue import RescueContract
from halley.testing.stores.retention import DataStoreContract
from halley.testing.stores.search import SearchContract
from halley.testing.stores.settlements import SettlementContract
from halley.testing.stores.sign_ins import SignInStoreContract
from halley.testing.stores.submits import SubmitContract
from halley.testing.stores.wall_clock import WallClockContract


class SharedQueueContract(
    ClaimContract, LeaseContract, SubmitContract, RescueContract, LifecycleContract, WallClockContract
):
    """The contract of `predictions.queue.WorkQueue`, also if several stores share a database."""


class WorkQueueContract(SharedQueueContract, TurnContract):
    """Its contract if one store has the database."""


__all__ = [
    "AttendanceStoreContract",
    "BlobLedgerContract",
    "BulkContract",
    "DataStoreContract",
    "DeliveryStoreContract",
    "DutyStoreContract",
    "FileStoreContract",
    "KeyStoreContract",
    "Maker",
    "ModelStoreContract",
    "PredictionStoreContract",
    "RepeatStoreContract",
    "RerunContract",
    "SearchContract",
    "SettlementContract",
    "SharedQueueContract",
    "SharedTurnContract",
    "SignInStoreContract",
    "Store",
    "StoreSuite",
    "WorkQueueContract",
]
