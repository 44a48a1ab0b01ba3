"""Certificate files of an operator: what is wrong with them is said in words."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from halley.certificates.reading import details_of, load_context
from halley.errors import Unusable


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return written(tmp_path, "one")


def written(folder: Path, name: str) -> tuple[Path, Path]:
    made = trustme.CA().issue_cert(f"{name}.example.com", "10.0.0.1")
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    made.cert_chain_pems[0].write_to_path(cert)
    made.private_key_pem.write_to_path(key)
    return cert, key


def test_a_pair_of_files_is_used(files: tuple[Path, Path]) -> None:
    cert, key = files
    found = details_of(load_context(cert, key), cert)
    assert found is not None
    assert found.names == {"one.example.com", "10.0.0.1"}
    assert found.ends_at > datetime(2990, 1, 1, tzinfo=UTC)


def test_one_file_may_hold_both(files: tuple[Path, Path]) -> None:
    cert, key = files
    cert.write_bytes(key.read_bytes() + cert.read_bytes())
    assert details_of(load_context(cert, None), cert) is not None


def test_an_expired_certificate_is_read_all_the_same(tmp_path: Path) -> None:
    then = datetime(2020, 1, 1, tzinfo=UTC)
    made = trustme.CA().issue_cert("old.example.com", not_after=then)
    cert = tmp_path / "old.pem"
    made.private_key_and_cert_chain_pem.write_to_path(cert)
    found = details_of(load_context(cert, None), cert)
    assert found is not None
    assert found.ends_at == then


def test_of_an_untrusted_certificate_nothing_is_known(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert details_of(load_context(*files), written(tmp_path, "two")[0]) is None


def test_a_missing_file_is_named(files: tuple[Path, Path]) -> None:
    cert, key = files
    for path, what in ((key, "private key"), (cert, "certificate")):
        path.unlink()
        with pytest.raises(Unusable, match=f"The {what} {path} cannot be read: No such file"):
            load_context(cert, key)


def test_a_key_of_another_certificate_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    _, other = written(tmp_path, "two")
    with pytest.raises(Unusable, match="does not belong to the certificate"):
        load_context(files[0], other)


def test_an_encrypted_key_is_reported_with_a_way_to_decrypt_it(files: tuple[Path, Path]) -> None:
    cert, key = files
    plain = load_pem_private_key(key.read_bytes(), None)
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        key.write_bytes(plain.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret")))
        with pytest.raises(Unusable, match=r"is encrypted.*openssl pkey"):
            load_context(cert, key)


@pytest.mark.parametrize(
    "text",
    ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\x00\xff\x30\x82"],
    ids=["empty", "text", "damaged", "DER"],
)
def test_what_is_no_certificate_is_refused(files: tuple[Path, Path], text: str) -> None:
    files[0].write_text(text, encoding="latin-1")
    with pytest.raises(Unusable, match="holds no certificate in PEM form"):
        load_context(*files)


def test_what_is_no_key_is_refused(files: tuple[Path, Path]) -> None:
    cert, key = files
    with pytest.raises(Unusable, match=r"holds no private key.*tls\.key"):
        load_context(cert, None)
    key.write_text("no key")
    with pytest.raises(Unusable, match=f"{key} holds no private key"):
        load_context(cert, key)
    key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(Unusable, match="cannot be used"):
        load_context(cert, key)
