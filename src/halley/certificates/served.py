"""The certificate of a running server, renewed without a restart."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from halley.certificates.local import RENEWED_BEFORE_END, LocalAuthority
from halley.certificates.reading import Details, details_of, load_context, load_into
from halley.errors import Unusable

_log: Final = logging.getLogger(__name__)
_WARNED_BEFORE_END: Final = timedelta(days=14)
_WARNED_EACH: Final = timedelta(days=1)

_Mark = tuple[tuple[int, int, int], ...]


class ServedCertificate:
    """Owns the `context` of a server. Call `refresh` regularly: a renewed file is then used."""

    def __init__(
        self, *, cert: Path, key: Path | None, now: datetime, prepare: Callable[[datetime], None] | None = None
    ) -> None:
        """`prepare` makes or renews the files.

        Raises:
            Unusable: the files cannot be used.
        """
        self._cert = cert
        self._key = key
        self._prepare = prepare
        self._warned_at: datetime | None = None
        if prepare is not None:
            prepare(now)
        self._mark = self._look()
        self.context: Final = load_context(cert, key)
        self.details: Details | None = details_of(self.context, cert)
        self._warn(now)

    def refresh(self, now: datetime) -> None:
        """Renew a certificate that expires soon, load changed files, warn of expired ones. Errors are logged."""
        try:
            if self._prepare is not None and self._ends_soon(now):
                self._prepare(now)
            mark = self._look()
            if mark != self._mark:
                details = details_of(load_context(self._cert, self._key), self._cert)  # tested before it is used
                load_into(self.context, self._cert, self._key)
                self._mark, self.details, self._warned_at = mark, details, None
                _log.info("the certificate %s was renewed: new connections get it", self._cert)
        except Unusable as error:
            if self._is_time_to_warn(now):
                _log.warning("the certificate could not be renewed; the old one stays in use: %s", error)
                self._warned_at = now
            return
        self._warn(now)

    def _ends_soon(self, now: datetime) -> bool:
        return self.details is None or self.details.ends_at - now <= RENEWED_BEFORE_END

    def _look(self) -> _Mark:
        found = []
        for path in (self._cert, self._key or self._cert):
            try:
                known = path.stat()
            except OSError:  # for users: the caller puts the reason into a message
                found.append((0, 0, 0))
            else:
                found.append((known.st_ino, known.st_mtime_ns, known.st_size))
        return tuple(found)

    def _warn(self, now: datetime) -> None:
        if not self._is_time_to_warn(now):
            return
        fault = self._fault(now)
        if fault is not None:
            _log.warning("the certificate %s %s", self._cert, fault)
            self._warned_at = now

    def _is_time_to_warn(self, now: datetime) -> bool:
        return self._warned_at is None or now - self._warned_at >= _WARNED_EACH

    def _fault(self, now: datetime) -> str | None:
        details = self.details
        if details is None:
            return "is not a server certificate: clients will refuse it"
        if details.ends_at <= now:
            return f"has expired on {details.ends_at:%Y-%m-%d}: clients will refuse it"
        if details.begins_at > now:
            return f"is valid only from {details.begins_at:%Y-%m-%d}: clients will refuse it until then"
        if details.ends_at - now < _WARNED_BEFORE_END:
            return f"ends on {details.ends_at:%Y-%m-%d}: renew it, the files are read again when they change"
        return None


def local_certificate(authority: LocalAuthority, now: datetime) -> ServedCertificate:
    """Serve a certificate of the local authority.

    Raises:
        Unusable: it cannot be made.
    """
    return ServedCertificate(cert=authority.cert, key=None, now=now, prepare=authority.prepare)
