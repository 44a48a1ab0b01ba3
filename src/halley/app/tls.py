"""TLS as configured."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from halley.clock import Clock
from halley.settings import Settings

if TYPE_CHECKING:
    from halley.certificates.served import ServedCertificate

FOLDER_NAME: Final = "tls"


class LocalTrust(msgspec.Struct, frozen=True, kw_only=True):
    """What a client needs to trust a local certificate: the authority, and a bundle that includes the system's own."""

    ca: Path
    bundle: Path
    names: tuple[str, ...]


class ServerCertificate:
    """The certificate of a running server."""

    def __init__(self, certificate: ServedCertificate, clock: Clock, trust: LocalTrust | None) -> None:
        self._certificate = certificate
        self._clock = clock
        self.trust: Final = trust

    @property
    def context(self) -> ssl.SSLContext:
        return self._certificate.context

    def refresh(self) -> None:
        """Use renewed files for new connections, renew Halley's own certificate, warn before one expires."""
        self._certificate.refresh(self._clock.now())


def open_tls(settings: Settings, clock: Clock) -> ServerCertificate | None:
    """Make the configured certificate; None for plain HTTP. Call it as holder of the data folder.

    Raises:
        Unusable: the certificate or its key cannot be used.
    """
    tls, now = settings.tls, clock.now()
    if tls.cert is None and not tls.local:
        return None
    # imported here, because most servers do not need this memory
    from halley.certificates.local import LocalAuthority
    from halley.certificates.names import certificate_names
    from halley.certificates.served import ServedCertificate, local_certificate

    if tls.cert is not None:
        return ServerCertificate(ServedCertificate(cert=tls.cert, key=tls.key, now=now), clock, None)
    server = settings.server
    public = urlsplit(server.public_url).hostname if server.public_url else None
    names = certificate_names(server.host, [*server.allowed_hosts, *([public] if public else [])])
    authority = LocalAuthority(settings.data / FOLDER_NAME, names)
    certificate = local_certificate(authority, now)
    return ServerCertificate(certificate, clock, LocalTrust(ca=authority.ca, bundle=authority.bundle, names=names))
