"""Halley: a self-hosted prediction server and gateway with the Replicate HTTP API."""

from typing import Final

__all__ = ["__version__"]

__version__: Final = "0.1.0"
