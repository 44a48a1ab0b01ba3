"""The certificate of a running server: renewed without a restart, its end told in time."""

import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from halley.certificates.local import LIFE, LocalAuthority
from halley.certificates.reading import details_of
from halley.certificates.served import ServedCertificate, local_certificate
from halley.errors import Unusable

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def write(path: Path, name: str, *, ends_at: datetime = NOW + timedelta(days=90)) -> None:
    made = trustme.CA().issue_cert(name, not_before=NOW - timedelta(days=9), not_after=ends_at)
    partial = path.with_suffix(".new")
    made.private_key_and_cert_chain_pem.write_to_path(partial)
    partial.replace(path)


def names_shown(served: ServedCertificate, cert: Path) -> frozenset[str]:
    found = details_of(served.context, cert)
    assert found is not None
    return found.names


@pytest.fixture
def cert(tmp_path: Path) -> Path:
    path = tmp_path / "server.pem"
    write(path, "one.example.com")
    return path


def test_a_renewed_file_is_shown_from_then_on(cert: Path) -> None:
    served = ServedCertificate(cert=cert, key=None, now=NOW)
    assert names_shown(served, cert) == {"one.example.com"}
    write(cert, "two.example.com")
    served.refresh(NOW)
    assert names_shown(served, cert) == {"two.example.com"}


def test_a_bad_renewal_keeps_the_old_certificate_and_is_logged_once_a_day(
    cert: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = ServedCertificate(cert=cert, key=None, now=NOW)
    good = cert.read_bytes()
    cert.write_text("half a certificate")
    for minutes in (0, 1, 60, 25 * 60):
        served.refresh(NOW + timedelta(minutes=minutes))
    assert len([one for one in caplog.records if "the old one stays in use" in one.message]) == 2
    cert.write_bytes(good)
    served.refresh(NOW)
    assert names_shown(served, cert) == {"one.example.com"}
    write(cert, "two.example.com")
    served.refresh(NOW)
    assert names_shown(served, cert) == {"two.example.com"}


def test_a_bad_file_refuses_the_start(cert: Path) -> None:
    cert.write_text("half a certificate")
    with pytest.raises(Unusable):
        ServedCertificate(cert=cert, key=None, now=NOW)


@pytest.mark.parametrize(
    ("ends_at", "words"),
    [
        (NOW - timedelta(days=2), "has expired on 2026-04-29"),
        (NOW + timedelta(days=5), "ends on 2026-05-06"),
        (NOW + timedelta(days=60), None),
    ],
)
def test_the_end_is_sent_in_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ends_at: datetime, words: str | None
) -> None:
    path = tmp_path / "server.pem"
    write(path, "one.example.com", ends_at=ends_at)
    served = ServedCertificate(cert=path, key=None, now=NOW)
    served.refresh(NOW + timedelta(minutes=1))
    told = [one.message for one in caplog.records if one.levelno == logging.WARNING]
    assert [words in one for one in told] == ([True] if words else [])


def test_a_certificate_that_is_not_yet_valid_is_reported(cert: Path, caplog: pytest.LogCaptureFixture) -> None:
    ServedCertificate(cert=cert, key=None, now=NOW - timedelta(days=100))
    assert "is valid only from 2026-04-22" in caplog.text


def test_a_local_certificate_is_renewed_while_it_is_served(tmp_path: Path) -> None:
    authority = LocalAuthority(tmp_path, ("localhost",))
    served = local_certificate(authority, NOW)
    trusted = authority.ca.read_bytes()
    first = authority.cert.read_bytes()
    served.refresh(NOW + timedelta(days=100))
    assert authority.cert.read_bytes() == first
    os.utime(authority.cert, ns=(0, 0))
    served.refresh(NOW + LIFE - timedelta(days=10))
    assert authority.cert.read_bytes() != first
    assert authority.ca.read_bytes() == trusted
    found = details_of(served.context, authority.ca)
    assert found is not None
    assert found.ends_at == NOW + 2 * LIFE - timedelta(days=10)
