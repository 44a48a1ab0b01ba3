"""The store in one SQLite file: one writer thread, many writes to a commit, reads beside it."""

from halley.store.sqlite.store import SqliteStore, open_sqlite

__all__ = ["SqliteStore", "open_sqlite"]
