"""The options of a server's start, and the report when it has started."""

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
    """A server that accepts requests. `key` is set only if the first admin key has just been created: it is
    shown once.
    """

    url: str
    key: str | None
    models: tuple[str, ...]
    broken: Mapping[str, str] = {}  # by model name: why it is not served
    preparing: tuple[str, ...] = ()  # models whose environments are being built
    trust: LocalTrust | None = None  # what clients need to know of a local certificate
    # makes a code that signs a browser in with a key, once; None unless only this machine reaches the server
    sign_in_code: Callable[[str], str] | None = None


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options besides the settings.

    `environ` is the environment of the process; None means its own. `reread` reads the settings again, for values that
    may change while it runs; it may raise SettingsError.

    With `waits_for_models` the server is announced only when all models are loaded and all environments built.
    """

    environ: Mapping[str, str] | None = None
    paths: Sequence[Path] = ()
    demo: bool = True
    reload: bool = False
    waits_for_models: bool = False
    reread: Callable[[], Settings] | None = None


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a start."""

    settings: Settings
    options: ServeOptions
    wanted: Sequence[WantedModel]
    folder: DataFolder
    node: Node
    tls: ServerCertificate | None
    announce: Callable[[ServerStarted], None]

    def url_at(self, listening: socket.socket) -> str:
        """The URL at which clients reach the server on this socket."""
        public = self.settings.server.public_url
        if public is not None:
            return tidy(public)
        scheme = "http" if self.tls is None else "https"
        host, port = listening.getsockname()[:2]
        if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
            host = "127.0.0.1"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
