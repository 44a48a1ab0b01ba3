"""The store in plain Python structures: for tests, and for nothing that must outlive the process."""

from halley.store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
