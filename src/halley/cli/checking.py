"""Finds what `halley serve` would refuse or report as broken, without starting anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from halley.errors import HalleyError
from halley.settings import Settings

CONNECT_SECONDS: Final = 5.0


def faults_of(settings: Settings) -> list[str]:
    """Return what prevents a server with these settings from starting, in the server's own messages."""
    checks = (_check_egress, _check_certificate, _check_upstreams, _check_address, _check_data)
    return [fault for check in checks for fault in _said_by(check, settings)]


def broken_models(settings: Settings) -> list[str]:
    """Return the models that such a server would start without, each with its reason."""
    from halley.app.wanted import wanted_models

    found = []
    for model in wanted_models(settings, [], demo=settings.demo):
        try:
            model.read()
        except HalleyError as error:
            found.append(f"{model.name}: {error}")
    return found


def unreachable_upstreams(settings: Settings) -> list[str]:
    """Return the services elsewhere to which no connection can be made from here, each with its reason.

    Nothing is sent to them: the server starts without them, too.
    """
    import socket

    from halley.egress import origin_of

    found = []
    addresses = [(name, *one) for name, provider in settings.providers.items() for one in provider.addresses()]
    for name, member, url in addresses:
        host, port = origin_of(url)
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            found.append(f"providers.{name}.{member}: {host}, port {port}, cannot be reached from here: {reason}.")
    return found


def _said_by(check: Callable[[Settings], None], settings: Settings) -> list[str]:
    try:
        check(settings)
    except HalleyError as error:
        return [str(error)]
    return []


def _check_egress(settings: Settings) -> None:
    from halley.egress.addresses import rules_from

    rules_from(settings.egress.allow, http=settings.egress.http)


def _check_certificate(settings: Settings) -> None:
    if settings.tls.cert is not None:
        from halley.app.tls import open_tls
        from halley.clock import SystemClock

        open_tls(settings, SystemClock())


def _check_upstreams(settings: Settings) -> None:
    from halley.app.upstreams import check_upstreams
    from halley.settings import process_environ

    check_upstreams(settings, process_environ())


def _check_address(settings: Settings) -> None:
    from halley.cli.starting import resolve_host

    resolve_host(settings.server.host, settings.server.port)


def _check_data(settings: Settings) -> None:
    from halley.errors import Unusable

    folder = settings.data
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK) or folder.is_relative_to(Path("/proc")):
        what = "is not writable" if folder.is_dir() else "is not a folder"
        raise Unusable(f"The data folder {settings.data} cannot be used: {folder} {what}.")
