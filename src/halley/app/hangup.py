"""SIGHUP: reload what may have changed outside."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable

from halley.app.services import Services
from halley.app.start import Start
from halley.app.upstream_kinds import load_kinds
from halley.errors import HalleyError
from halley.settings import Settings, SettingsError, reloaded

_log = logging.getLogger(__name__)


async def look_again_on_hangup(parts: Services, start: Start) -> None:
    """Reload models that were repaired or changed, and use the configured admin key, providers and routes.

    In a terminal SIGHUP still means that the terminal was closed.
    """
    if (sys.stdin is not None and sys.stdin.isatty()) or signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        return
    admin_key, reread = start.settings.admin_key, start.options.reread
    heard = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, heard.set)
    while True:
        await heard.wait()
        heard.clear()
        _log.info("SIGHUP: reading the settings again, and models that changed or were broken")
        settings = None if reread is None else await _read_again(reread)
        if settings is not None and parts.answering is not None:
            admin_key = await _change_admin_key(parts, admin_key, settings.admin_key)
        if parts.working is None:
            continue
        if settings is not None:
            await _use_upstreams(parts, settings)
        try:
            await parts.loader.look_again(start.wanted)
        except Exception:  # noqa: BLE001 - the served models stay; another signal tries again
            _log.exception("SIGHUP: some models could not be checked again")


async def _read_again(reread: Callable[[], Settings]) -> Settings | None:
    try:
        return await asyncio.to_thread(reread)
    except SettingsError as error:
        _log.error("SIGHUP: the settings are not valid, and nothing of them is changed: %s", error)
    except Exception:  # noqa: BLE001 - a wrong file must not end the server
        _log.exception("SIGHUP: the settings cannot be read, and nothing of them is changed")
    return None


async def _change_admin_key(parts: Services, known: str | None, key: str | None) -> str | None:
    """Use the configured admin key if it has changed; returns the valid one."""
    if key is None or key == known:
        return key
    try:
        await parts.keys.ensure_admin(key)
    except HalleyError as error:
        _log.error("SIGHUP: the admin key is unchanged: %s", error)
        return known
    _log.info("SIGHUP: the admin key was replaced by the configured one")
    return key


async def _use_upstreams(parts: Services, settings: Settings) -> None:
    """Only where predictions run: the processes that do not run any never load the code of a provider."""
    try:
        await asyncio.to_thread(load_kinds, settings.providers.values())  # 0.2 s that the loop has not
    except Exception:  # noqa: BLE001 - what was served before is served still
        _log.exception("SIGHUP: the code of a provider cannot be loaded; providers and routes are unchanged")
        return
    _change_upstreams(parts, settings)
    await parts.upstreams.list_offered()


def _change_upstreams(parts: Services, settings: Settings) -> None:
    try:
        parts.upstreams.apply(settings)
    except HalleyError as error:
        _log.error("SIGHUP: providers and routes are unchanged: %s", error)
        return
    except Exception:  # noqa: BLE001 - what was served before is served still
        _log.exception("SIGHUP: providers and routes could not be replaced")
        return
    if parts.answering is not None:
        shown = parts.api.parts
        shown.shown_settings = reloaded(shown.shown_settings, settings)
    parts.worker.reevaluate()
