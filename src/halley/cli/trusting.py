"""Trusting a server's local certificate: the context of this client, and instructions for other clients."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

from halley.cli.failures import UsageProblem

if TYPE_CHECKING:
    import ssl

OPENSSL: Final = "SSL_CERT_FILE"  # read by Python's ssl, httpx, Go, curl
REQUESTS: Final = "REQUESTS_CA_BUNDLE"
NODE: Final = "NODE_EXTRA_CA_CERTS"


def trusting_context(ca: Path | None) -> ssl.SSLContext:
    """Make the context of a client that trusts this authority besides those that the system trusts.

    Raises:
        UsageProblem: the authority's file cannot be used.
    """
    import ssl

    import httpx2

    context = httpx2.create_ssl_context()
    if ca is not None:
        try:
            context.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise UsageProblem(
                f"The certificate authority {ca} of this server's profile cannot be read: {error.strerror or error}.",
                hint="Start the server again, or remove `ca` from the credentials file.",
            ) from error
    return context


def trust_lines(ca: Path, bundle: Path, url: str) -> list[tuple[str, str]]:
    """Return for each kind of client the setting that makes it trust this authority."""
    python = " ".join(f"{name}={shlex.quote(str(bundle))}" for name in (OPENSSL, REQUESTS))
    return [
        ("Python, Go", python),
        ("Node.js", f"{NODE}={shlex.quote(str(ca))}"),
        ("curl", shlex.join(["curl", "--cacert", str(ca), f"{url}/healthz"])),
        ("a shell", 'eval "$(halley env)" sets all of these'),
        (
            "the system",
            f"cp {shlex.quote(str(ca))} /usr/local/share/ca-certificates/halley.crt && update-ca-certificates",
        ),
        ("", "as root, on Debian and Ubuntu; a browser imports the same file as an authority"),
    ]


def trust_variables(ca: Path | None) -> dict[str, str]:
    """Return the variables that make clients trust an authority; none if the system's own are enough."""
    if ca is None:
        return {}
    bundle = ca.with_name("bundle.pem")
    # the first two replace the client's own list: hence a bundle, so that other hosts stay reachable
    known = str(bundle if bundle.exists() else ca)
    return {OPENSSL: known, REQUESTS: known, NODE: str(ca)}
