"""Shared by `serve` and `demo`: settings from flags, the banner, the client's credentials."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from halley import __version__
from halley.cli import credentials
from halley.cli.failures import CommandError, UsageProblem
from halley.cli.screen import Screen
from halley.cli.target import ServerTarget, find_target, normalise, same_origin
from halley.cli.trusting import trust_lines
from halley.settings import Settings, process_environ, read_settings

TRIES: Final = 20
_HOSTS: Final = (
    "--host names an address of this machine: 127.0.0.1 for programs here only, 0.0.0.0 for all others, too."
)
_SMALL_PORTS: Final = "Ports below 1024 need special rights: choose another one with --port."


class Trust(Protocol):
    """What clients need to trust a local certificate: files in PEM form, and the names in it."""

    @property
    def ca(self) -> Path: ...
    @property
    def bundle(self) -> Path: ...
    @property
    def names(self) -> Sequence[str]: ...


class Started(Protocol):
    """What the server reports once it accepts requests.

    `key` is a newly made admin key, shown this once; `broken` gives the reason for each model that is not served.
    """

    @property
    def url(self) -> str: ...
    @property
    def key(self) -> str | None: ...
    @property
    def models(self) -> Sequence[str]: ...
    @property
    def broken(self) -> Mapping[str, str]: ...
    @property
    def preparing(self) -> Sequence[str]: ...
    @property
    def trust(self) -> Trust | None: ...
    @property
    def sign_in_code(self) -> Callable[[str], str] | None: ...


def settings_from(config: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings, with this command's flags. `environ` defaults to the process's own.

    Raises:
        SettingsError: a setting is unknown or invalid.
    """
    environ = process_environ() if environ is None else environ
    named = environ.get("HALLEY_CONFIG")
    return read_settings(environ, config=config or (Path(named) if named else None), flags=flags)


def free_port(host: str, port: int) -> int:
    """Return `port` if it is free, otherwise the next free one.

    Raises:
        UsageProblem: the address is not one of this machine, or all of the next ports are taken.
    """
    if port == 0:
        return 0
    for candidate in range(port, min(port + TRIES, 65_536)):
        if not _is_taken(host, candidate):
            return candidate
    raise UsageProblem(
        f"The ports {port} to {port + TRIES - 1} of {host} are all taken.", hint="Choose one with --port."
    )


def require_port(host: str, port: int) -> None:
    """Check that a port is free, before anything is opened.

    Raises:
        UsageProblem: it is taken.
    """
    if port and _is_taken(host, port):
        raise UsageProblem(
            f"Port {port} of {host} is taken by another program.",
            hint=f"Stop it, or choose another port: --port {port + 1}.",
        )


def running_url(data: Path) -> str | None:
    """Return the URL of the Halley server that holds this data folder now, or None."""
    from halley.store.folder import holder_of

    holder = holder_of(data)
    return None if holder is None else holder.url or f"process {holder.pid}, which is just starting"


def remember_or_say(screen: Screen, settings: Settings, started: Started) -> str | None:
    """Call `remember`; if that fails, report it and continue: the server runs, and a key can still be made."""
    try:
        return remember(settings, started)
    except (CommandError, OSError) as error:
        hint = getattr(error, "hint", "")
        if started.key and not screen.err_is_terminal:  # then it was never shown
            hint = f"{hint} Start with HALLEY_ADMIN_KEY or HALLEY_ADMIN_KEY_FILE to set an admin key.".strip()
        screen.error(f"the key could not be kept for the command line: {_reason(error)}.", hint)
        return started.key or settings.admin_key


def remember(settings: Settings, started: Started) -> str | None:
    """Store the key for this server; returns the token that this machine's client will use, if it has one.

    A new admin key is stored for this server. A known key stays with its data folder when the port changes. The
    authority of a local certificate is stored with it, even without a key, so that this machine's client trusts the
    server.
    """
    known = credentials.load().for_data(settings.data)
    name, profile = known or (None, None)
    token = started.key or (profile.token if profile else None)
    ca = None if started.trust is None else str(started.trust.ca)
    if token or profile or ca:
        credentials.save(
            credentials.CredentialProfile(server=started.url, token=token, data=str(settings.data), ca=ca), name=name
        )
    return token or settings.admin_key


def local_target(started: Started, token: str | None) -> ServerTarget:
    """Return how this machine's client reaches a server that has just started."""
    root, api = normalise(started.url)
    return ServerTarget(root=root, api=api, token=token, ca=None if started.trust is None else started.trust.ca)


def show_banner(
    screen: Screen, settings: Settings, started: Started, *, token: str | None = None, hint: bool = True
) -> None:
    """Print the URLs and commands. A new key is printed here once, to a terminal only; so is a link that opens the
    dashboard with the `token`.

    Call `remember_or_say` before: how commands reach this server depends on what is stored.
    """
    sources = {origin.split(",")[0] for origin in settings.origins.values() if not origin.startswith("flag ")}
    config = ", ".join(sorted(sources)) or "built-in defaults"
    screen.note(f"halley {__version__}   data: {settings.data}   config: {config}")
    screen.note(f"  API         {started.url}/v1        (OpenAPI: {started.url}/v1/openapi.json)")
    if others := reachable_urls(settings.server.host, started.url):
        screen.note(f"  Network     {'  '.join(others)}  (the server listens on all addresses of this machine)")
    _show_dashboard(screen, started, token)
    if started.key:
        _show_token(screen, started.key, settings.data)
    if started.trust is not None:
        _show_trust(screen, started.url, started.trust)
    if started.models:
        screen.note(f"  Models      {'  '.join(started.models)}")
    for name in started.preparing:
        screen.note(f"  Preparing   {name}: its environment is being built; its predictions wait until it is ready")
    for name, reason in started.broken.items():
        screen.note(f"  Broken      {name}: {reason.splitlines()[0]}")
    if hint:
        here = _option_for(started.url)
        screen.note(f'  Try:  halley run demo/paint prompt="moonlit desert at night" -o desert.webp{here}')
        screen.note(f'        eval "$(halley env{here})"   # the official clients then talk to this server')
    screen.note("  Press Ctrl+C to stop.")


def _show_token(screen: Screen, key: str, data: Path) -> None:
    path, is_kept = credentials.credentials_path(), _is_kept(key, data)
    if screen.err_is_terminal:
        screen.note(f"  Token       {key}  (shown once; {f'kept in {path}' if is_kept else 'not kept: store it'})")
    elif is_kept:  # a program that reads the output would store it, for all readers of its logs
        screen.note(f"  Token       a new admin key, kept in {path}")
        screen.note("              `halley keys create` creates more keys.")
    else:
        screen.note("  Token       a new admin key, which could not be kept and is not known to anybody")
        screen.note("              Start again with HALLEY_ADMIN_KEY or HALLEY_ADMIN_KEY_FILE to set one.")


def _is_kept(key: str, data: Path) -> bool:
    try:
        known = credentials.load().for_data(data)
    except CommandError:
        return False
    return known is not None and known[1].token == key


def _reason(error: Exception) -> str:
    """Without the number that the system gives it, and without a dot at its end."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error).removesuffix(".")


def _show_dashboard(screen: Screen, started: Started, token: str | None) -> None:
    if token is None or started.sign_in_code is None or not screen.err_is_terminal:
        screen.note(f"  Dashboard   {started.url}/ui")
        return
    code = started.sign_in_code(token)
    screen.note(f"  Dashboard   {started.url}/ui/sign-in?code={code}")
    screen.note("              (this link signs in once, within 10 minutes)")


def _option_for(url: str) -> str:
    """The option with which commands reach this server; "" if they need none."""
    try:
        known = credentials.load()
        found = find_target(server=None, token=None, profile=None, environ=process_environ(), credentials=known)
    except CommandError:
        return f" --server {url}"
    return "" if same_origin(found.root, url) else f" --server {url}"


def reachable_urls(host: str, url: str) -> list[str]:
    """Return the URLs by which other machines reach a server that listens on all addresses."""
    if host not in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        return []
    parts = urlsplit(url)
    port = "" if parts.port is None else f":{parts.port}"
    hosts = [f"[{address}]" if ":" in address else address for address in own_addresses()]
    return [found for one in hosts if (found := f"{parts.scheme}://{one}{port}") != url]


def own_addresses() -> list[str]:
    """Return the addresses of this machine from which its routes start. Nothing is sent."""
    found = []
    # documentation addresses (RFC 5737, RFC 3849): a UDP socket only looks up the route
    for family, there in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((there, 9))
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue  # no such network here
    return [address for address in found if address not in {"127.0.0.1", "::1"}]


def _show_trust(screen: Screen, url: str, trust: Trust) -> None:
    screen.note(f"  TLS         a local certificate, for {', '.join(trust.names)}")
    screen.note("              The command line already trusts it. To make other clients trust it:")
    for name, line in trust_lines(trust.ca, trust.bundle, url):
        screen.note(f"              {name:12}{line}")


def resolve_host(host: str, port: int) -> tuple[int, int, int, Any]:
    """Return family, kind, protocol and address to listen on.

    Raises:
        UsageProblem: the address does not exist.
    """
    try:
        # as bytes: for text Python loads its tables of all Unicode names, half a megabyte
        found = socket.getaddrinfo(
            host.encode() if host.isascii() else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageProblem(f"{host} is not an address to listen on: {reason}.", hint=_HOSTS) from error
    family, kind, protocol, _, address = found[0]
    return family, kind, protocol, address


def _is_taken(host: str, port: int) -> bool:
    family, kind, protocol, address = resolve_host(host, port)
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            hint = _SMALL_PORTS if error.errno == errno.EACCES else _HOSTS
            raise UsageProblem(f"Cannot listen on {host}:{port}: {error.strerror}.", hint=hint) from error
    return False
