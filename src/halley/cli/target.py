"""Decides which server a command uses, and with which token.

Order: `--server`/`--token` > `--profile` > `HALLEY_SERVER`/`HALLEY_TOKEN` > `REPLICATE_BASE_URL`/`REPLICATE_API_TOKEN`
> the default of the credentials file > a server on this machine. A token belongs to its server: one that was stored or
set together with another origin is never sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from halley.cli.credentials import Credentials
from halley.cli.failures import UsageProblem
from halley.settings import DEFAULT_PORT

LOCAL_SERVER: Final = f"http://127.0.0.1:{DEFAULT_PORT}"
HOSTED_SERVER: Final = "https://api.replicate.com"  # the server of REPLICATE_API_TOKEN if no base URL is set
_LOOPBACK: Final = re.compile(r"^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?(/|$)")


class ServerTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A server's root as the user gave it, the base of its API, the token for it, and a certificate authority to trust
    for it.
    """

    root: str
    api: str
    token: str | None = None
    ca: Path | None = None


def find_target(
    *,
    server: str | None,
    token: str | None,
    profile: str | None,
    environ: Mapping[str, str],
    credentials: Credentials,
) -> ServerTarget:
    """Decide on server and token.

    Raises:
        UsageProblem: an unknown profile, an invalid URL, or a text that cannot be a token.
    """
    named = credentials.profiles.get(profile) if profile else None
    if profile and named is None:
        known = ", ".join(sorted(credentials.profiles)) or "none yet"
        raise UsageProblem(f"There is no profile {profile!r} in the credentials file.", hint=f"Profiles: {known}.")
    default = credentials.profiles.get(credentials.default or "")
    home = environ.get("REPLICATE_BASE_URL") or HOSTED_SERVER
    pairs = [  # (server, token) in order; None as server: for any server
        (named.server, named.token) if named else None,
        (environ.get("HALLEY_SERVER"), environ.get("HALLEY_TOKEN")),
        (home, environ.get("REPLICATE_API_TOKEN")),
        (default.server, default.token) if default else None,
        *((known.server, known.token) for known in credentials.profiles.values()),
    ]
    chosen = (
        server
        or (named.server if named else None)
        or environ.get("HALLEY_SERVER")
        or environ.get("REPLICATE_BASE_URL")
        or (default.server if default else None)
        or LOCAL_SERVER
    )
    root, api = normalise(chosen)
    if token is None:
        token = next(
            (key for home_of, key in filter(None, pairs) if key and (not home_of or same_origin(home_of, root))), None
        )
    profiles = [one for one in (named, default, *credentials.profiles.values()) if one is not None]
    ca = next((Path(one.ca).expanduser() for one in profiles if one.ca and same_origin(one.server, root)), None)
    return ServerTarget(root=root, api=api, token=_checked(token), ca=ca)


def _checked(token: str | None) -> str | None:
    text = (token or "").strip()
    if not re.fullmatch(r"[!-~]*", text):  # never printed: it may be a key with additional characters
        raise UsageProblem(
            "The token contains spaces, line breaks or characters that are not ASCII. A token has none of these.",
            hint="Copy it again.",
        )
    return text or None


def normalise(url: str) -> tuple[str, str]:
    """Return (root, base of the API) for any form: with or without scheme, `/v1`, `/replicate`, trailing slashes.

    Source: contract section 2.

    Raises:
        UsageProblem: it is not an HTTP URL, or contains a password, a query or a fragment.
    """
    text = url.strip()
    if "://" not in text:
        text = f"{'http' if _LOOPBACK.match(text) else 'https'}://{text}"
    parts = urlsplit(text)
    try:
        fit = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fit = False
    if not fit:
        raise UsageProblem(f"{url!r} is not the URL of a server.", hint=f"A server URL looks like {LOCAL_SERVER}.")
    if parts.username or parts.query or parts.fragment:
        raise UsageProblem(
            f"The server URL for {parts.hostname} must not contain a user, a query or a fragment.",
            hint="Give the token with --token.",
        )
    path = re.sub(r"(/v1)+$", "", parts.path.rstrip("/"))
    root = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    return root, f"{root}/v1"


def same_origin(one: str, other: str) -> bool:
    """Whether scheme, host and port are equal; an invalid URL equals nothing."""
    try:
        return _origin(one) == _origin(other)
    except ValueError:
        return False


def is_loopback(url: str) -> bool:
    """Whether the URL is of this machine."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _origin(url: str) -> tuple[str, str, int | None]:
    if "://" not in url:
        url = f"{'http' if _LOOPBACK.match(url) else 'https'}://{url}"
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(parts.scheme)
