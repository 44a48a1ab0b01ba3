"""The store in one SQLite file: one writer thread, many writes per commit, reads on other connections."""

from halley.store.sqlite.store import SqliteStore, open_sqlite

__all__ = ["SqliteStore", "open_sqlite"]
