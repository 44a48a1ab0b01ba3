"""Every suite of the store, with two stores on one SQLite database that are called by turns."""

import subprocess
import sys

from contract.test_stores import OnSharedSqlite
from halley.testing.stores import (
    DataStoreContract,
    DeliveryStoreContract,
    FileStoreContract,
    KeyStoreContract,
    LifecycleContract,
    ModelStoreContract,
    PredictionStoreContract,
    WallClockContract,
)


class TestSharedPredictions(OnSharedSqlite, PredictionStoreContract): ...


class TestSharedLifecycle(OnSharedSqlite, LifecycleContract): ...


class TestSharedModels(OnSharedSqlite, ModelStoreContract): ...


class TestSharedKeys(OnSharedSqlite, KeyStoreContract): ...


class TestSharedFiles(OnSharedSqlite, FileStoreContract): ...


class TestSharedData(OnSharedSqlite, DataStoreContract): ...


class TestSharedDeliveries(OnSharedSqlite, DeliveryStoreContract): ...


class TestSharedWallClock(OnSharedSqlite, WallClockContract): ...


if __name__ == "__main__":
    sys.exit(subprocess.call([sys.executable, "-m", "pytest", "-q", __file__, *sys.argv[1:]]))
