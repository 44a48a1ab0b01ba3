"""Start and stop. The task group is outside and the HTTP server is one of its children: if any service breaks, the
process ends with an error instead of answering on without it.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from halley.api.http.origins import tidy
from halley.api.server import UvicornServer, listen, make_server
from halley.app.descriptors import raise_limit
from halley.app.garbage import spare_what_stays
from halley.app.services import Services, build
from halley.app.stores import open_store as open_configured_store
from halley.app.tls import LocalTrust, ServerCertificate, open_tls
from halley.app.wanted import WantedModel, wanted_models
from halley.clock import SystemClock
from halley.errors import HalleyError, Unusable
from halley.retry import run_housekeeping
from halley.settings import Settings, SettingsError, open_to_debuggers, process_environ
from halley.store.folder import DataFolder, hold
from halley.store.ports import OpenStore

_log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 30.0  # how long running predictions may take to end after SIGTERM
HOUSEKEEPING_SECONDS: Final = 60.0
WATCH_SECONDS: Final = 1.0


class ServerStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A server that accepts requests. `key` is set only if the first admin key was made just now: it is shown once."""

    url: str
    key: str | None
    models: tuple[str, ...]
    broken: Mapping[str, str] = {}  # by model name: why it is not served
    preparing: tuple[str, ...] = ()  # models whose environments are being built
    trust: LocalTrust | None = None  # what clients need to know of a local certificate


def run_server(
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    paths: Sequence[Path] = (),
    demo: bool = True,
    reload: bool = False,
    announce: Callable[[ServerStarted], None],
    patiently: bool = False,
    reread: Callable[[], Settings] | None = None,
    open_store: OpenStore = open_configured_store,
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Blocks, in the main thread.

    `environ` is what the process was started with, its own if left out. `reread` reads the settings again, for what may
    change while it runs; it may raise SettingsError.

    `patiently` announces only when all models are there, environments that must be built included.

    A broken model does not prevent the others from being served. But what `paths` name must be there and fit, unless
    `reload` will notice its repair; only an environment may turn out later to be one that cannot be built.

    Raises:
        Unusable: the data folder is taken, the data cannot be used, or a model of `paths` is broken.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # one would log the URLs of inputs, with their tokens; the other says what our own banner says better
    for name in ("httpx2", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if settings.server.debuggable:
        open_to_debuggers()
    wanted = wanted_models(settings, paths, demo=demo)
    for item in wanted:
        if item.is_named and not reload:
            item.read()  # better refused before anything is opened
    raise_limit()
    with hold(settings.data) as folder:
        return uvloop.run(
            _serve(
                settings,
                folder,
                wanted,
                environ=process_environ() if environ is None else environ,
                tls=open_tls(settings, SystemClock()),
                reload=reload,
                announce=announce,
                patiently=patiently,
                reread=reread,
                open_store=open_store,
            )
        )


async def _serve(
    settings: Settings,
    folder: DataFolder,
    wanted: Sequence[WantedModel],
    *,
    environ: Mapping[str, str],
    tls: ServerCertificate | None,
    reload: bool,
    announce: Callable[[ServerStarted], None],
    patiently: bool,
    reread: Callable[[], Settings] | None,
    open_store: OpenStore,
) -> int:
    listening = listen(settings.server.host, settings.server.port)
    public = settings.server.public_url
    url = _url(listening, "http" if tls is None else "https") if public is None else tidy(public)
    refused: list[str] = []
    async with build(settings, environ, open_store) as parts:
        if settings.admin_key is not None:
            await parts.keys.ensure_admin(settings.admin_key)
        parts.catalog.is_loading = True
        await parts.maintainer.open()
        await parts.worker.open()
        await parts.attendance.open()
        server = make_server(settings, parts.api, None if tls is None else tls.context)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[listening]))
            services = [tasks.create_task(service) for service in _services(parts, server, tls)]
            services.append(tasks.create_task(_look_again_on_hangup(parts, wanted, settings.admin_key, reread)))
            folder.announce(url)
            await parts.loader.load_all(wanted)
            parts.catalog.is_loading = parts.loader.is_late
            parts.worker.look()
            preparing = tasks.create_task(_prepare(parts))
            # not before the models have said how long they keep their data
            services += [preparing, tasks.create_task(parts.retention.run())]
            broken = parts.catalog.broken
            refused = [] if reload else [broken[item.name] for item in wanted if item.is_named and item.name in broken]
            if refused:
                await parts.worker.drain(DRAIN_SECONDS)
                server.stop()
            else:
                if patiently:
                    await asyncio.wait([preparing, serving], return_when=asyncio.FIRST_COMPLETED)
                # not before all that may still end the start: a key that was not shown would be lost
                key = await parts.keys.ensure_admin(settings.admin_key)
                announce(_started(parts, url, key, None if tls is None else tls.trust))
                spare_what_stays()
            if reload:
                watching = run_housekeeping(
                    lambda: parts.loader.watch(wanted), parts.clock, "watching models", parts.housekeeping_faults
                )
                services.append(tasks.create_task(watching))
            await serving  # returns when the last answer is out
            for service in services:
                service.cancel()
    if refused:
        raise Unusable("\n".join(refused))
    return 0


def _services(parts: Services, server: UvicornServer, tls: ServerCertificate | None) -> list[Coroutine[Any, Any, None]]:
    """What runs beside the server.

    The process ends if an essential service breaks: dispatching, webhooks, the store, stopping.
    Housekeeping is retried instead.
    """
    looking_after = {
        "checking the store": parts.store_check.turn,
        "looking for changes": parts.change_poller.turn,
        "looking after keys": parts.api.parts.revocations.turn,
        "pruning idempotency keys": lambda: _prune_idempotency_keys(parts),
        "canceling abandoned work": parts.attendance.run,
        "forgetting what was read": parts.running.run,
    }
    if tls is not None:
        looking_after["renewing the certificate"] = lambda: _renew_certificate(parts, tls)
    return [
        parts.worker.run(),
        parts.maintainer.run(),
        parts.webhooks.run(),
        _watch_store(parts),
        _stop_on_signal(parts, server),
        *[run_housekeeping(turn, parts.clock, what, parts.housekeeping_faults) for what, turn in looking_after.items()],
    ]


def _started(parts: Services, url: str, key: str | None, trust: LocalTrust | None) -> ServerStarted:
    return ServerStarted(
        url=url,
        key=key,
        models=tuple(name for name in parts.catalog.names() if name not in parts.catalog.preparing),
        broken=parts.catalog.broken,
        preparing=tuple(parts.catalog.preparing),
        trust=trust,
    )


async def _prepare(parts: Services) -> None:
    """Load the models that need an environment first; then their waiting predictions can be claimed."""
    await parts.loader.prepare()
    parts.catalog.is_loading = False
    parts.worker.look()


async def _stop_on_signal(parts: Services, server: UvicornServer) -> None:
    """First signal: refuse new work, let running predictions end, then stop. Second signal: stop at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def heard() -> None:
        if stop.is_set():
            server.should_exit = server.force_exit = True
        stop.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, heard)
    await stop.wait()
    parts.api.draining = True
    if parts.worker.running:
        _log.info(
            "stopping: waiting up to %d s for %d running predictions; a second signal stops at once",
            DRAIN_SECONDS,
            parts.worker.running,
        )
    await parts.worker.drain(DRAIN_SECONDS)
    await parts.webhooks.drain()
    server.stop()


async def _look_again_on_hangup(
    parts: Services, wanted: Sequence[WantedModel], admin_key: str | None, reread: Callable[[], Settings] | None
) -> None:
    """SIGHUP: reload models that were repaired or changed, and read the admin key from its file again.

    In a terminal it still means that the terminal was closed.
    """
    if (sys.stdin is not None and sys.stdin.isatty()) or signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        return
    heard = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, heard.set)
    while True:
        await heard.wait()
        heard.clear()
        _log.info("SIGHUP: reloading models that changed or were broken")
        if reread is not None:
            admin_key = await _change_admin_key(parts, admin_key, reread)
        try:
            await parts.loader.look_again(wanted)
        except Exception:  # noqa: BLE001 - the served models stay; another signal tries again
            _log.exception("SIGHUP: some models could not be checked again")


async def _change_admin_key(parts: Services, known: str | None, reread: Callable[[], Settings]) -> str | None:
    """Use the configured admin key if it has changed; returns the valid one."""
    try:
        key = (await asyncio.to_thread(reread)).admin_key
        if key is not None and key != known:
            await parts.keys.ensure_admin(key)
            _log.info("SIGHUP: the admin key was replaced by the configured one")
    except (SettingsError, HalleyError) as error:
        _log.error("SIGHUP: the admin key is unchanged: %s", error)
        return known
    return key


async def _watch_store(parts: Services) -> None:
    """End the process when nothing can be written any more: a restart reads what is really on the disk."""
    while True:
        await parts.clock.sleep(WATCH_SECONDS)
        if parts.store.broken is not None:
            raise parts.store.broken


async def _renew_certificate(parts: Services, tls: ServerCertificate) -> None:
    await parts.clock.sleep(HOUSEKEEPING_SECONDS)
    tls.refresh()


async def _prune_idempotency_keys(parts: Services) -> None:
    await parts.clock.sleep(HOUSEKEEPING_SECONDS)
    while await parts.predictions.forget_idempotency_keys():
        pass


def _url(listening: socket.socket, scheme: str) -> str:
    host, port = listening.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
