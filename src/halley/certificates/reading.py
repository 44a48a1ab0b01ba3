"""Loads certificate files as an SSL context, and reads the certificate's details."""

import re
import ssl
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from halley.errors import Unusable

_PRIVATE: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which Python's ssl does not define


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """The hosts of a certificate, and its period."""

    names: frozenset[str]
    begins_at: datetime
    ends_at: datetime


def load_context(cert: Path, key: Path | None) -> ssl.SSLContext:
    """Make the context of a server that presents this certificate. `key` None: it is in the same file.

    Raises:
        Unusable: a file is missing or has the wrong content, or key and certificate do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_into(context, cert, key)
    return context


def load_into(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Let a context present this certificate from now on; open connections keep the earlier one.

    Raises:
        Unusable: as `load_context`; the context may be half changed, so try it on a new one first.
    """
    _check_certificate(cert)
    _check_key(cert, key)

    def refuse() -> NoReturn:
        where = key or cert
        raise Unusable(
            f"The private key in {where} is encrypted, and its password cannot be entered here."
            f" Decrypt it: openssl pkey -in {where} -out {where}.plain"
        )

    try:
        context.load_cert_chain(cert, key, password=refuse)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Unusable(f"The private key in {key or cert} does not belong to the certificate in {cert}.") from error
        raise Unusable(
            f"The certificate {cert} with the private key in {key or cert} cannot be used: {error.reason or error}."
        ) from error


def details_of(context: ssl.SSLContext, trusted: Path) -> Details | None:
    """Read what a client that trusts the certificates in a file will see; None if it would trust none.

    The standard library parses certificates of peers only, so this connects to itself in memory. The certificate's
    period is returned, not checked.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    try:
        client.load_verify_locations(cadata=_certificates(trusted.read_text(encoding="ascii", errors="replace")))
        shown = _handshake(context, client)
    except ssl.SSLError:
        return None
    return Details(
        names=frozenset(_name(kind, value) for kind, value in shown.get("subjectAltName", ())),
        begins_at=_instant(shown["notBefore"]),
        ends_at=_instant(shown["notAfter"]),
    )


def _check_certificate(cert: Path) -> None:
    text = _read(cert, "certificate")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=_certificates(text))
    except (ssl.SSLError, ValueError) as error:
        raise Unusable(f"{cert} holds no certificate in PEM form: {error}.") from error


def _check_key(cert: Path, key: Path | None) -> None:
    text = _read(key or cert, "private key")
    if not _PRIVATE.search(text):
        hint = "" if key else " Name the file that has it: --tls-key FILE, or tls.key."
        raise Unusable(f"{key or cert} holds no private key in PEM form.{hint}")


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise Unusable(f"The {what} {path} cannot be read: {error.strerror or error}.") from error


def _certificates(text: str) -> str:
    # a file may contain more, a key for example, which must not be parsed as a certificate
    found = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    if not found:
        raise ValueError("it has no such part")
    return "\n".join(found)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [server.wrap_bio(there, back, server_side=True), client.wrap_bio(back, there)]
    for _ in range(10):  # more rounds than any version of the protocol has
        waiting = False
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waiting = True
        if not waiting:
            break
    return ends[1].getpeercert() or {}


def _name(kind: str, value: str) -> str:
    return str(ip_address(value)) if kind == "IP Address" else value.lower()


def _instant(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
