"""Stores bytes by their SHA-256: the adapters of `assets.ports.Blobs`."""
