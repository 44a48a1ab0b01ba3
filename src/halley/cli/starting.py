"""What `serve` and `demo` share: settings from flags, the banner, the client's credentials, a note of where we run."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from halley import __version__
from halley.cli import credentials
from halley.cli.failures import CommandError, UsageProblem
from halley.cli.screen import Screen
from halley.settings import Settings, process_environ, read_settings

NOTE_NAME: Final = "running.json"  # in the data folder: who serves it, and where
TRIES: Final = 20


class Started(Protocol):
    """What the server says once it accepts requests; `key` is a newly made admin key, shown this once."""

    @property
    def url(self) -> str: ...
    @property
    def key(self) -> str | None: ...
    @property
    def models(self) -> Sequence[str]: ...


def settings_from(config: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Read the settings with this command's flags on top.

    Raises:
        SettingsError: something is unknown or unfit.
    """
    environ = process_environ()
    named = environ.get("HALLEY_CONFIG")
    return read_settings(environ, config=config or (Path(named) if named else None), flags=flags)


def free_port(host: str, port: int) -> int:
    """Give `port` if nobody has it, else the next free one.

    Raises:
        UsageProblem: the address is not ours, or all of the next ports are taken.
    """
    if port == 0:
        return 0
    for candidate in range(port, min(port + TRIES, 65_536)):
        if not _is_taken(host, candidate):
            return candidate
    raise UsageProblem(f"The ports {port} to {port + TRIES - 1} of {host} are all taken.", hint="Name one with --port.")


def require_port(host: str, port: int) -> None:
    """Say in plain words that a port is taken, before anything is opened.

    Raises:
        UsageProblem: it is.
    """
    if port and _is_taken(host, port):
        raise UsageProblem(
            f"Port {port} of {host} is taken by another program.",
            hint=f"Stop it, or choose another port: --port {port + 1}.",
        )


def running_url(data: Path) -> str | None:
    """Give the URL of a Halley that serves this data folder now, or None."""
    import httpx2

    try:
        note = json.loads((data / NOTE_NAME).read_text(encoding="utf-8"))
        url, pid = str(note["url"]), int(note["pid"])
        os.kill(pid, 0)
        return url if httpx2.get(f"{url}/healthz", timeout=2.0, trust_env=False).is_success else None
    except (OSError, ValueError, KeyError, TypeError, httpx2.HTTPError):
        return None


def remember_or_say(screen: Screen, settings: Settings, started: Started) -> str | None:
    """Do what `remember` does; if that fails say so and go on: the server runs, and the banner has shown the key."""
    try:
        return remember(settings, started)
    except (CommandError, OSError) as error:
        screen.error(f"the key could not be kept for the command line: {error}", getattr(error, "hint", ""))
        return started.key or settings.admin_key


def remember(settings: Settings, started: Started) -> str | None:
    """Keep where we run, and the key for it; give the token that this machine's client will use, if it has one.

    A new admin key is stored for this server. A known one follows its own data folder to another port.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    (settings.data / NOTE_NAME).write_text(json.dumps({"url": started.url, "pid": os.getpid()}), encoding="utf-8")
    if started.key:
        return _store(started.url, started.key, settings.data)
    known = credentials.load().for_data(settings.data)
    if known is not None:
        name, profile = known
        if profile.server != started.url:
            credentials.save(
                credentials.Profile(server=started.url, token=profile.token, data=str(settings.data)), name=name
            )
        return profile.token
    return settings.admin_key


def forget_running(settings: Settings) -> None:
    """Take the note away again, if it is ours."""
    path = settings.data / NOTE_NAME
    with suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid():
            path.unlink()


def show_banner(screen: Screen, settings: Settings, started: Started, *, hint: bool = True) -> None:
    """Say where everything is. A new key is shown here and never again."""
    sources = {origin.split(",")[0] for origin in settings.origins.values() if not origin.startswith("flag ")}
    config = ", ".join(sorted(sources)) or "built-in defaults"
    screen.note(f"halley {__version__}   data: {settings.data}   config: {config}")
    screen.note(f"  Dashboard   {started.url}/ui")
    screen.note(f"  API         {started.url}/v1        (OpenAPI: {started.url}/v1/openapi.json)")
    if started.key:
        screen.note(f"  Token       {started.key}  (shown once; kept in {credentials.credentials_path()})")
    if started.models:
        screen.note(f"  Models      {'  '.join(started.models)}")
    if hint:
        screen.note('  Try:  halley run demo/paint prompt="moonlit desert at night" -o desert.png')
        screen.note('        eval "$(halley env)"   # the official clients then talk to this server')
    screen.note("  Press Ctrl+C to stop.")


def _store(url: str, key: str, data: Path) -> str:
    credentials.save(credentials.Profile(server=url, token=key, data=str(data)))
    return key


def _is_taken(host: str, port: int) -> bool:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise UsageProblem(f"{host} is not an address to listen on: {error.strerror}.") from error
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise UsageProblem(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    return False
