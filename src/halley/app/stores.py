"""Selects the store of this server. To add a store, add a line here; nothing else changes."""

from typing import Final

from halley.store.ports import OpenStore
from halley.store.sqlite import open_sqlite

open_store: Final[OpenStore] = open_sqlite
