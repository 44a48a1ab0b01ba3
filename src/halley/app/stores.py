"""Which store this server opens. Another one is another line here, and nothing else changes."""

from typing import Final

from halley.store.ports import OpenStore
from halley.store.sqlite import open_sqlite

open_store: Final[OpenStore] = open_sqlite
