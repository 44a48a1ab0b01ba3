"""A certificate that Halley makes, for a server whose name a public authority would not certify.

    FOLDER/ca.pem        the local authority: what clients trust, made once and kept
    FOLDER/ca.key        its key; mode 0600
    FOLDER/server.pem    certificate and key, renewed when time or names run out; mode 0600
    FOLDER/bundle.pem    this system's authorities and ours, for clients that take one file instead of their own list

A program that has `ca.key` can pretend to be any host towards clients that trust `ca.pem`: the key stays in the data
folder.
"""

import os
import socket
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from halley.certificates.reading import details_of, load_context
from halley.errors import Unusable

if TYPE_CHECKING:
    import trustme

LIFE: Final = timedelta(days=397)  # browsers accept no more
RENEWED_BEFORE_END: Final = timedelta(days=30)
_ORGANIZATION: Final = "Halley"
_SYSTEM_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)


class LocalAuthority:
    """Makes and renews the files in a folder. Used by one process at a time: the holder of the data folder."""

    def __init__(self, folder: Path, names: Sequence[str], *, system_bundle: Path | None = None) -> None:
        """`names` come from `certificates.names`. `system_bundle` is the file of certificates that this system trusts;
        None finds it.
        """
        self.ca: Final = folder / "ca.pem"
        self.bundle: Final = folder / "bundle.pem"
        self.cert: Final = folder / "server.pem"
        self._key = folder / "ca.key"
        self._folder = folder
        self._names = names
        self._system_bundle = system_bundle

    def prepare(self, now: datetime) -> None:
        """Make missing files, and renew a certificate that expires soon or has other names.

        Raises:
            Unusable: the library for it is not installed, or the authority's files cannot be used.
        """
        authority = self._authority()
        if not self._is_fit(now):
            made = authority.issue_cert(
                *self._names,
                organization_name=_ORGANIZATION,
                organization_unit_name="Local server",
                not_before=now - timedelta(days=1),  # clocks of clients differ
                not_after=now + LIFE,
            )
            _write(self.cert, made.private_key_and_cert_chain_pem.bytes(), mode=0o600)
        _write(self.bundle, self.ca.read_bytes() + self._system_authorities(), mode=0o644)

    def _authority(self) -> "trustme.CA":
        library = _library()
        if not self.ca.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            unit = f"Local authority of {socket.gethostname()}"[:64]
            made = library.CA(path_length=0, organization_name=_ORGANIZATION, organization_unit_name=unit)
            _write(self._key, made.private_key_pem.bytes(), mode=0o600)
            _write(self.ca, made.cert_pem.bytes(), mode=0o644)
        try:
            found: trustme.CA = library.CA.from_pem(self.ca.read_bytes(), self._key.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise Unusable(
                f"The local authority in {self._folder} cannot be used: {error}. Put ca.pem and ca.key back from a"
                " backup. Or delete both: then a new authority is created, which every client must trust"
                " again."
            ) from error
        return found

    def _is_fit(self, now: datetime) -> bool:
        try:
            found = details_of(load_context(self.cert, None), self.ca)
        except Unusable:
            return False
        return (
            found is not None  # also if another authority has signed it
            and found.names == frozenset(self._names)
            and found.begins_at <= now
            and found.ends_at - now > RENEWED_BEFORE_END
        )

    def _system_authorities(self) -> bytes:
        usual = (self._system_bundle, ssl.get_default_verify_paths().cafile, *_SYSTEM_BUNDLES)
        paths = (Path(path) for path in usual if path)
        # never our own: a shell that `halley env` has set up may start servers, too
        found = next((path for path in paths if path.is_file() and path.resolve() != self.bundle.resolve()), None)
        return b"\n" + found.read_bytes() if found else b""


def _library() -> ModuleType:
    try:
        import trustme
    except ImportError as error:
        raise Unusable(
            "A local certificate needs the package trustme, which is not installed. Type: pip install 'halley[tls]'."
            " Or use a certificate that you have: --tls-cert FILE --tls-key FILE."
        ) from error
    return trustme


def _write(path: Path, data: bytes, *, mode: int) -> None:
    if path.exists() and path.read_bytes() == data:
        return
    partial = path.with_name(f"{path.name}.part")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    partial.replace(path)
