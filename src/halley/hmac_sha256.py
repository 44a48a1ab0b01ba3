"""HMAC-SHA256 for code that runs very often.

The standard library's one-shot function releases the interpreter lock for each call, and on a busy server the thread
then waits to get it back: ten times the cost of the digest. Two prepared hash states avoid this, and the expansion of
the key. The states are CPython's own, if it has them: to copy one of OpenSSL takes longer than to hash a short message.

Source: RFC 2104.
"""

import hashlib
from importlib import import_module
from typing import Any, Final

_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


def _plain_sha256() -> Any:
    for name in ("_sha256", "_sha2"):  # of Python 3.11, and of later ones
        try:
            return import_module(name).sha256
        except ImportError:
            continue
    return hashlib.sha256


_sha256: Final = _plain_sha256()


class HmacSha256:
    """One key. Equal to `hmac.digest(key, message, "sha256")`."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_BYTES:
            key = _sha256(key).digest()
        padded = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = _sha256(padded.translate(_INNER))
        self._outer = _sha256(padded.translate(_OUTER))

    def digest(self, message: bytes) -> bytes:
        """The 32 bytes of the MAC, which a holder of the key can verify."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        mac: bytes = outer.digest()
        return mac

    def __repr__(self) -> str:
        return "HmacSha256(...)"
