"""The store in Python dictionaries: for tests, and for data that need not survive the process."""

from halley.store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
