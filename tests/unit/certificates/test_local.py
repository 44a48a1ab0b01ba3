"""A local authority: made once, its certificate renewed when time or names run out."""

import ssl
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from halley.certificates.local import LIFE, RENEWED_BEFORE_END, LocalAuthority
from halley.certificates.reading import Details, details_of, load_context
from halley.errors import Unusable

NOW = datetime(2026, 5, 1, tzinfo=UTC)
NAMES = ("localhost", "127.0.0.1", "::1", "halley.example.com")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tls"


def prepared(folder: Path, now: datetime = NOW, names: tuple[str, ...] = NAMES) -> LocalAuthority:
    authority = LocalAuthority(folder, names)
    authority.prepare(now)
    return authority


def seen(authority: LocalAuthority) -> Details:
    found = details_of(load_context(authority.cert, None), authority.ca)
    assert found is not None
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_client_that_trusts_the_authority_sees_all_names(folder: Path) -> None:
    authority = prepared(folder)
    assert seen(authority) == Details(names=frozenset(NAMES), begins_at=NOW - timedelta(days=1), ends_at=NOW + LIFE)


def test_keys_are_for_their_owner_only(folder: Path) -> None:
    authority = prepared(folder)
    assert mode(folder) == 0o700
    assert mode(folder / "ca.key") == 0o600
    assert mode(authority.cert) == 0o600
    assert mode(authority.ca) == 0o644


def test_nothing_changes_while_it_is_fit(folder: Path) -> None:
    authority = prepared(folder)
    before = authority.ca.read_bytes(), authority.cert.read_bytes()
    prepared(folder, NOW + timedelta(days=300))
    assert (authority.ca.read_bytes(), authority.cert.read_bytes()) == before


@pytest.mark.parametrize(
    ("now", "names"),
    [
        (NOW + LIFE - RENEWED_BEFORE_END, NAMES),
        (NOW + 2 * LIFE, NAMES),
        (NOW - timedelta(days=30), NAMES),
        (NOW, (*NAMES, "10.0.0.7")),
        (NOW, NAMES[:3]),
    ],
    ids=["ends soon", "is over", "is not valid yet", "another name", "a name less"],
)
def test_it_is_renewed_under_the_same_authority(folder: Path, now: datetime, names: tuple[str, ...]) -> None:
    first = prepared(folder)
    trusted, shown = first.ca.read_bytes(), first.cert.read_bytes()
    second = prepared(folder, now, names)
    assert second.ca.read_bytes() == trusted
    assert second.cert.read_bytes() != shown
    assert seen(second).names == frozenset(names)
    assert seen(second).ends_at == now + LIFE


def test_a_certificate_of_another_authority_is_replaced(folder: Path, tmp_path: Path) -> None:
    authority = prepared(folder)
    authority.cert.write_bytes(prepared(tmp_path / "other").cert.read_bytes())
    prepared(folder)
    assert seen(authority).names == frozenset(NAMES)


def test_a_damaged_certificate_is_replaced(folder: Path) -> None:
    authority = prepared(folder)
    authority.cert.write_text("no certificate")
    prepared(folder)
    assert seen(authority).names == frozenset(NAMES)


def test_an_authority_without_its_key_is_reported_and_not_replaced(folder: Path) -> None:
    authority = prepared(folder)
    trusted = authority.ca.read_bytes()
    (folder / "ca.key").unlink()
    with pytest.raises(Unusable, match=r"Put ca\.pem and ca.key back"):
        authority.prepare(NOW)
    (folder / "ca.key").write_text("damaged")
    with pytest.raises(Unusable, match="every client must trust again"):
        authority.prepare(NOW)
    assert authority.ca.read_bytes() == trusted


def test_a_start_that_died_before_the_authority_was_there_is_made_good(folder: Path) -> None:
    folder.mkdir()
    (folder / "ca.key").write_text("of an authority that nobody has seen")
    assert seen(prepared(folder)).names == frozenset(NAMES)


def test_the_bundle_has_this_systems_authorities_too(folder: Path, tmp_path: Path) -> None:
    other = prepared(tmp_path / "other")
    authority = LocalAuthority(folder, NAMES, system_bundle=other.ca)
    authority.prepare(NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.bundle)
    assert len(context.get_ca_certs()) == 2


def test_the_bundle_does_not_grow_in_a_shell_that_names_it(folder: Path) -> None:
    authority = LocalAuthority(folder, NAMES, system_bundle=folder / "bundle.pem")
    authority.prepare(NOW)
    size = authority.bundle.stat().st_size
    authority.prepare(NOW)
    assert authority.bundle.stat().st_size == size


def test_without_the_library_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(Unusable, match=r"pip install 'halley\[tls\]'"):
        prepared(folder)
