"""Opens a client from the command line, the environment and the credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halley.cli import credentials
from halley.cli.target import ServerTarget, find_target
from halley.settings import process_environ

if TYPE_CHECKING:
    from halley.cli.client import Client


def choose_target(server: str | None, token: str | None, profile: str | None) -> ServerTarget:
    """Decide on server and token from all sources.

    Raises:
        UsageProblem: an unknown profile, an invalid URL, or unreadable credentials.
    """
    environ = process_environ()
    return find_target(
        server=server,
        token=token,
        profile=profile or environ.get("HALLEY_PROFILE"),
        environ=environ,
        credentials=credentials.load(),
    )


def connect(server: str | None, token: str | None, profile: str | None) -> Client:
    """Return a client; nothing is sent yet."""
    from halley.cli.client import Client

    return Client(choose_target(server, token, profile))
