"""The errors of the door out, under one roof. They live in `halley.errors`, since rooms below catch them too."""

from halley.errors import AddressRefused, FetchFailed, TooLarge

__all__ = ["AddressRefused", "FetchFailed", "TooLarge"]
