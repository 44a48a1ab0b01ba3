"""`halley serve`: the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halley.cli.options import (
    ConfigOption,
    DataOption,
    EnvOption,
    HostOption,
    PortOption,
    StrictPythonOption,
    TlsCertOption,
    TlsKeyOption,
    TlsOption,
)


def serve(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Model folders or files.")] = None,
    host: HostOption = None,
    port: PortOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
    reload: Annotated[bool, typer.Option("--reload", help="Reload a model when its files change.")] = False,
    demo: Annotated[bool | None, typer.Option("--demo/--no-demo", help="Serve the demo models, or not.")] = None,
    env: EnvOption = None,
    strict_python: StrictPythonOption = None,
    tls: TlsOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
) -> None:
    """Serve models through the Replicate HTTP API.

    \b
    Examples:
      halley serve ./my-model --reload
      halley serve --host 0.0.0.0 --port 8080 --no-demo
      halley serve --tls
    """
    from halley.cli.serving import ServeRequest, become_server

    flags = {
        "server.host": host,
        "server.port": port,
        "data": None if data is None else str(data),
        "demo": demo,
        "environments.env": env,
        "environments.strict_python": strict_python,
        "tls.local": tls,
        "tls.cert": None if tls_cert is None else str(tls_cert),
        "tls.key": None if tls_key is None else str(tls_key),
    }
    become_server(
        ServeRequest(
            paths=list(map(str, paths or [])),
            config=None if config is None else str(config),
            flags=flags,
            reload=reload,
        )
    )
