"""The form of API keys: `hly_`, 32 random characters, 6 characters of checksum. Another prefix may be requested.

Some libraries accept only keys that begin with `r8_`, as those of the hosted service. Keys with that prefix also have
the same length: 40 characters, one random character less.

With the checksum the server refuses invalid tokens without reading the database, and secret scanners recognise the
form. Only tokens that begin with `hly_` are checked; an operator's first admin key may be any text of 32 or more
characters.
"""

import re
import zlib
from collections.abc import Callable
from typing import Final

from halley.hmac_sha256 import HmacSha256

DEFAULT_PREFIX: Final = "hly"
_PREFIX: Final = f"{DEFAULT_PREFIX}_"
_PREFIX_FORM: Final = re.compile(r"[a-z][a-z0-9]{0,15}")
MIN_FOREIGN_LENGTH: Final = 32
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH: Final = 32  # 190 bits
_CHECK_LENGTH: Final = 6


_HOSTED_LENGTHS: Final = {"r8": 31}  # 185 bits


def make_token(random_below: Callable[[int], int], prefix: str = DEFAULT_PREFIX) -> str:
    """A new token; `random_below(n)` must be a cryptographic source (secrets.randbelow)."""
    body = "".join(_ALPHABET[random_below(62)] for _ in range(_HOSTED_LENGTHS.get(prefix, _RANDOM_LENGTH)))
    return f"{prefix}_{body}{_checksum(body)}"


def is_prefix(text: str) -> bool:
    """Whether keys may begin with this prefix and an underscore."""
    return _PREFIX_FORM.fullmatch(text) is not None


def is_plausible(token: str) -> bool:
    """False for text that cannot be a key, so that it is not looked up."""
    if not token.startswith(_PREFIX):
        return MIN_FOREIGN_LENGTH <= len(token) <= 512 and token.isascii() and token.isprintable()
    body, check = token[len(_PREFIX) : -_CHECK_LENGTH], token[-_CHECK_LENGTH:]
    return len(body) == _RANDOM_LENGTH and body.isascii() and body.isalnum() and check == _checksum(body)


def digest(pepper: HmacSha256, token: str) -> bytes:
    """HMAC-SHA256: the only form in which a key is stored."""
    return pepper.digest(token.encode("utf-8", "surrogateescape"))


def hint(token: str) -> str:
    """The part of a key that may be shown."""
    return token[:8] + "..."


def _checksum(body: str) -> str:
    rest, out = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK_LENGTH):
        rest, digit = divmod(rest, 62)
        out = _ALPHABET[digit] + out
    return out
