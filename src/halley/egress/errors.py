"""The errors of outbound requests. Those of `halley.errors` are defined there because lower layers catch them too."""

from halley.errors import AddressRefused, FetchFailed, TooLarge

__all__ = ["AddressRefused", "FetchFailed", "NotSent", "TooLarge"]


class NotSent(FetchFailed):
    """No byte of the request's body has left: the other host cannot have acted on it."""
