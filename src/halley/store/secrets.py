"""`DATA/secrets.json`: secrets that belong to the data but must not be in the database.

Mode 0600. It is created together with a new data folder and backed up with it. If there is data but not this file, the
start is refused: new secrets would invalidate every key and every link without notice.
"""

import base64
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from halley.errors import Unusable

FILE_NAME: Final = "secrets.json"
_BYTES: Final = 32


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """Key material."""

    key_pepper: bytes
    link_key: bytes

    @property
    def webhook_root(self) -> bytes:
        """The base of the signing secrets of all accounts. Independent of the link key."""
        return hmac.digest(self.link_key, b"webhook-secrets", "sha256")

    def __repr__(self) -> str:
        return "Secrets(...)"  # never in a log or a traceback


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    key_pepper: str
    link_key: str
    webhook_secrets: dict[str, str] = {}  # in files of older servers, always empty


def load_secrets(data: Path, *, is_new: bool, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> Secrets:
    """Read the secrets of a data folder; make them if the folder `is_new`.

    Raises:
        Unusable: missing beside existing data, unreadable, or open to other users.
    """
    path = data / FILE_NAME
    if not path.exists():
        if not is_new:
            raise Unusable(
                f"{path} is missing, but there is data beside it. Put the file back from a backup. Without it no API "
                "key and no link works; to start again with new keys, move the whole data folder away."
            )
        _write(path, random_bytes)
    if path.stat().st_mode & 0o077:
        raise Unusable(f"{path} can be read by other users. Run: chmod 600 {path}")
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
        return Secrets(
            key_pepper=base64.b64decode(stored.key_pepper, validate=True),
            link_key=base64.b64decode(stored.link_key, validate=True),
        )
    except (msgspec.MsgspecError, ValueError) as error:
        raise Unusable(f"{path} cannot be read ({error}). Put it back from a backup.") from error


def _write(path: Path, random_bytes: Callable[[int], bytes]) -> None:
    fresh = [base64.b64encode(random_bytes(_BYTES)).decode() for _ in range(2)]
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(_Stored(key_pepper=fresh[0], link_key=fresh[1])))
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
