"""What a server is started with, and what it says when it has started."""

import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from halley.api.http.origins import tidy
from halley.app.roles import Node
from halley.app.tls import LocalTrust, ServerCertificate
from halley.app.wanted import WantedModel
from halley.settings import Settings
from halley.store.folder import DataFolder


class ServerStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A server that accepts requests. `key` is set only if the first admin key was made just now: it is shown once."""

    url: str
    key: str | None
    models: tuple[str, ...]
    broken: Mapping[str, str] = {}  # by model name: why it is not served
    preparing: tuple[str, ...] = ()  # models whose environments are being built
    trust: LocalTrust | None = None  # what clients need to know of a local certificate


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for beside the settings.

    `environ` is what the process was started with, its own if left out. `reread` reads the settings again, for what may
    change while it runs; it may raise SettingsError.

    `patiently` announces only when all models are there, environments that must be built included.
    """

    environ: Mapping[str, str] | None = None
    paths: Sequence[Path] = ()
    demo: bool = True
    reload: bool = False
    patiently: bool = False
    reread: Callable[[], Settings] | None = None


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """All that a start works with."""

    settings: Settings
    options: ServeOptions
    wanted: Sequence[WantedModel]
    folder: DataFolder
    node: Node
    tls: ServerCertificate | None
    announce: Callable[[ServerStarted], None]

    def url_at(self, listening: socket.socket) -> str:
        """Where clients reach the server that listens there."""
        public = self.settings.server.public_url
        if public is not None:
            return tidy(public)
        scheme = "http" if self.tls is None else "https"
        host, port = listening.getsockname()[:2]
        if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
            host = "127.0.0.1"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
