"""Remembers how a connection's requests authenticate: nearly all clients send the same key with each request."""

from typing import Final

from halley.api.http.asgi import read_token
from halley.keys.service import Identity, Keys

CREDENTIAL_KEY: Final = "halley.credential"  # in a request's scope: what its connection remembers


class Credential:
    """The newest `Authorization` header of one connection, and the digest of its token.

    The header is parsed once, then compared; the key itself is checked for each request. Nothing is remembered beyond
    the connection.
    """

    __slots__ = ("_digest", "_header")

    def __init__(self) -> None:
        self._header: bytes | None = None
        self._digest = b""

    async def identity(self, header: bytes | None, keys: Keys) -> Identity:
        """The caller.

        Raises:
            NotAuthenticated: there is no token, or it is malformed, unknown or revoked.
        """
        if header is None or header != self._header:
            self._digest = keys.digest(read_token(header))
            self._header = header
        identity = keys.known_by(self._digest)
        return await keys.verify(read_token(header)) if identity is None else identity
