"""The data of stores in memory. Stores with the same tables are nodes on one database."""

from datetime import datetime

from halley.bulk.records import BulkAction, BulkItem
from halley.keys.records import Account, Key, SignIn
from halley.models.records import Model, Version
from halley.predictions.duties import Duty
from halley.predictions.records import Event
from halley.predictions.repeats import IdempotencyKey
from halley.predictions.settlements import Settlement
from halley.store.ages import ClockMove
from halley.store.memory.deliveries import MemoryDeliveries
from halley.store.memory.entries import DISTANT_PAST, Entry
from halley.store.memory.files import MemoryFiles


class BulkEntry:
    """A bulk action, its items, and who carries it out."""

    def __init__(self, action: BulkAction, items: list[BulkItem]) -> None:
        self.action = action
        self.items = items
        self.begun = 0  # items at lower positions have been begun
        self.holder: str | None = None
        self.lease_until = DISTANT_PAST


class MemoryTables:
    """The data that a database would contain."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.log: list[Event] = []
        self.keys_used: dict[tuple[str, str], tuple[IdempotencyKey, str]] = {}
        self.sessions: dict[str, datetime] = {}
        self.offers: dict[str, frozenset[str]] = {}
        self.duties: dict[str, tuple[Duty, datetime | None]] = {}  # until when; None: released
        self.attendance: set[tuple[str, str]] = set()  # prediction, node
        self.attending_nodes: dict[str, datetime] = {}  # until when
        self.submits: dict[str, tuple[str, datetime, str]] = {}  # of predictions: to which provider, when, and where
        self.settlements: dict[str, Settlement] = {}  # by the prediction whose outcome was unknown
        self.reruns: dict[str, tuple[str, datetime]] = {}  # by the new prediction: what it runs again, and since when
        self.tags: dict[str, tuple[str, ...]] = {}
        self.bulk: dict[str, BulkEntry] = {}
        self.models: dict[str, Model] = {}
        self.versions: dict[str, Version] = {}
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, Key] = {}
        self.configured: set[str] = set()
        self.sign_ins: dict[bytes, SignIn] = {}
        self.blobs: dict[str, int] = {}
        self.owned: set[tuple[str, str, str, str]] = set()
        self.clock_moves: list[ClockMove] = []
        self.clock_moves_made = 0  # some may have been dropped
        self.files = MemoryFiles()
        self.deliveries = MemoryDeliveries(self.entries, self.log, self.duties)


class MemoryPart:
    """The base of each part of the store in memory."""

    def __init__(self, tables: MemoryTables) -> None:
        self.tables = tables
        self._entries = tables.entries
        self._log = tables.log
