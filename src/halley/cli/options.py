"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halley.cli.failures import UsageProblem
from halley.settings import parse_seconds

ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="The URL of any Replicate-compatible server, with or without /v1."),
]
TokenOption = Annotated[str | None, typer.Option("--token", metavar="TOKEN", help="The API token for that server.")]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="The profile in the credentials file.")
]
LimitOption = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The maximum number of entries.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="A halley.toml.")]
DataOption = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="The data folder.")]
HostOption = Annotated[str | None, typer.Option("--host", help="The address to listen on (127.0.0.1).")]
PortOption = Annotated[int | None, typer.Option("--port", help="The port to listen on (1986); 0 chooses a free port.")]
TlsOption = Annotated[
    bool | None,
    typer.Option("--tls/--no-tls", help="HTTPS with a certificate that Halley creates; prints how to trust it."),
]
TlsCertOption = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="HTTPS with this certificate (PEM, with its chain).")
]
TlsKeyOption = Annotated[
    Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key, if it is in a separate file.")
]
EnvOption = Annotated[
    str | None,
    typer.Option(
        "--env", metavar="own|current", help="current: run models in this Python and ignore their requirements."
    ),
]
StrictPythonOption = Annotated[
    bool | None,
    typer.Option("--strict-python/--any-python", help="Refuse a model whose Python version is not installed."),
]
TimeoutOption = Annotated[
    str | None,
    typer.Option(
        "--timeout", metavar="TIME", help="Stop waiting after 30s, 5m, ... (exit 9); the prediction keeps running."
    ),
]


def read_duration(text: str | None, option: str) -> float | None:
    """Read a duration option.

    Raises:
        UsageProblem: it is not a duration.
    """
    try:
        return None if text is None else parse_seconds(text)
    except ValueError as error:
        raise UsageProblem(f"{option} {text!r} is not valid: {error}.") from error
