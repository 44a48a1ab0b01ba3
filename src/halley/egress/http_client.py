"""The HTTP client and the certificates that it trusts, which the first request needs: each takes 20 to 110 ms.

So they are loaded in threads; in the loop's thread they would delay all other requests of the server.
"""

from typing import TYPE_CHECKING

from halley.egress.targets import EgressTarget
from halley.threads import MadeOnce

if TYPE_CHECKING:
    import ssl


class HttpClient:
    """Await `ready` before each use of the client."""

    def __init__(self, tls: "ssl.SSLContext | None") -> None:
        """`tls` is used instead of the certificates that the system trusts."""
        self._tls = tls
        self._library = MadeOnce(_load_library)
        self._trusted = MadeOnce(_trusted)

    async def ready(self, target: EgressTarget) -> "ssl.SSLContext | None":
        """Load what a request to this target needs; returns how to encrypt it, if it will be."""
        await self._library.get()
        if target.scheme == "https" and self._tls is None:
            self._tls = await self._trusted.get()
        return self._tls


def _load_library() -> None:
    import halley.egress.network  # noqa: F401 - with the client below it


def _trusted() -> "ssl.SSLContext":
    import httpcore2

    return httpcore2.default_ssl_context()
