"""The errors of outbound requests. They are defined in `halley.errors`, because lower layers catch them too."""

from halley.errors import AddressRefused, FetchFailed, TooLarge

__all__ = ["AddressRefused", "FetchFailed", "TooLarge"]
