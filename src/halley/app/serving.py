"""Start and stop. The HTTP server is one of the tasks of a group: if any service fails, the process ends with an error
instead of answering without it.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

import msgspec
import uvloop

from halley.api.server import listen, make_server
from halley.app.background import services_of
from halley.app.descriptors import raise_limit
from halley.app.garbage import spare_what_stays
from halley.app.local_runtime import find_isolation
from halley.app.roles import Node, Role
from halley.app.services import Services, build
from halley.app.start import ServeOptions, ServerStarted, Start
from halley.app.stopping import DRAIN_SECONDS, Front, NoFront, release_duty
from halley.app.stores import open_store as open_configured_store
from halley.app.tls import open_tls
from halley.app.wanted import wanted_models
from halley.clock import SystemClock
from halley.errors import Unusable
from halley.retry import run_housekeeping
from halley.settings import Settings, open_to_debuggers, process_environ
from halley.store.folder import hold
from halley.store.ports import OpenStore

_WHOLE: Final = Node()


def run_server(
    settings: Settings,
    options: ServeOptions,
    *,
    announce: Callable[[ServerStarted], None],
    open_store: OpenStore = open_configured_store,
    node: Node = _WHOLE,
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Blocks, in the main thread.

    A broken model does not stop the others from being served. But models named as arguments must exist and be valid,
    unless `reload` will notice their repair; only an environment may fail to build later.

    `node` has the roles of this process. `announce` is called in a process that answers requests.

    Raises:
        Unusable: the data folder is taken, the data cannot be used, or a named model is broken.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # one would log the URLs of inputs, with their tokens; the other repeats our own banner
    for name in ("httpx2", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if settings.server.debuggable:
        open_to_debuggers()
    wanted = wanted_models(settings, options.paths, demo=options.demo)
    for item in wanted:
        if item.is_named and not options.reload:
            item.read()  # to refuse a bad model before anything is opened
    raise_limit()
    with hold(settings.data, is_shared=node.is_shared) as folder:
        start = Start(
            settings=settings,
            options=options,
            wanted=wanted,
            folder=folder,
            node=msgspec.structs.replace(node, is_alone=folder.is_alone),
            tls=open_tls(settings, SystemClock()) if Role.API in node.roles else None,
            announce=announce,
        )
        return uvloop.run(_serve(start, open_store))


async def _serve(start: Start, open_store: OpenStore) -> int:
    settings, options = start.settings, start.options
    environ = process_environ() if options.environ is None else options.environ
    listening = listen(settings.server.host, settings.server.port) if Role.API in start.node.roles else None
    async with build(settings, environ, open_store, node=start.node) as parts:
        await _open(parts, start)
        front = _front(parts, start)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(front.serve([] if listening is None else [listening]))
            services = [tasks.create_task(service) for service in services_of(parts, start, front)]
            if listening is not None:
                start.folder.announce(start.url_at(listening))
            refused: list[str] = []
            until_ready = [serving]
            if parts.working is not None:
                await find_isolation(parts.base, parts.working.runtime)  # only now: requests are answered meanwhile
                await _load_models(parts, start)
                refused = _refused(parts, start)
                until_ready.append(tasks.create_task(_prepare(parts)))
            if parts.maintaining is not None:
                # not before the retention periods of the models are known
                services.append(tasks.create_task(parts.maintainer.while_on_duty(lambda _: parts.retention.run())))
            if refused:
                await parts.worker.drain(DRAIN_SECONDS)
                front.stop()
            elif listening is not None:
                if options.waits_for_models:
                    await asyncio.wait(until_ready, return_when=asyncio.FIRST_COMPLETED)
                await _announce(parts, start, listening)
                spare_what_stays()
            if options.reload and parts.working is not None:
                services.append(tasks.create_task(_watch_models(parts, start)))
            await serving  # returns when the last answer is sent
            for service in (*services, *until_ready):
                service.cancel()
        await release_duty(parts)
    if refused:
        raise Unusable("\n".join(refused))
    return 0


async def _open(parts: Services, start: Start) -> None:
    """Take over what earlier processes left, before new work comes."""
    admin_key = start.settings.admin_key
    if parts.answering is not None and admin_key is not None:
        await parts.keys.ensure_admin(admin_key)
    if parts.working is not None:
        parts.catalog.is_loading = True
    if parts.maintaining is not None:
        await parts.maintainer.open()
    start.folder.let_others_start()
    if parts.working is not None:
        await parts.worker.open()
    if parts.offered is not None:
        await parts.offered.open([item.name for item in start.wanted])
    if parts.answering is not None:
        await parts.attendance.open()


def _front(parts: Services, start: Start) -> Front:
    if parts.answering is None:
        return NoFront()
    return make_server(start.settings, parts.api, None if start.tls is None else start.tls.context)


async def _load_models(parts: Services, start: Start) -> None:
    await parts.upstreams.imported.load()
    await parts.loader.load_all(start.wanted)
    await parts.upstreams.list_offered()
    parts.catalog.is_loading = parts.loader.is_late
    parts.worker.reevaluate()


async def _prepare(parts: Services) -> None:
    """Load the models that need an environment first; then their waiting predictions can be claimed."""
    await parts.loader.prepare()
    parts.catalog.is_loading = False
    parts.worker.reevaluate()


def _refused(parts: Services, start: Start) -> list[str]:
    """Why named models cannot be served, if their repair will not be noticed."""
    broken = parts.catalog.broken
    if start.options.reload:
        return []
    return [broken[item.name] for item in start.wanted if item.is_named and item.name in broken]


async def _watch_models(parts: Services, start: Start) -> None:
    await run_housekeeping(
        lambda: parts.loader.watch(start.wanted), parts.clock, "watching models", parts.housekeeping_faults
    )


async def _announce(parts: Services, start: Start, listening: socket.socket) -> None:
    # not before everything that may still end the start: a key that was not shown would be lost
    key = await parts.keys.ensure_admin(start.settings.admin_key)
    catalog = parts.catalog
    start.announce(
        ServerStarted(
            url=start.url_at(listening),
            key=key,
            models=tuple(name for name in catalog.names() if name not in catalog.preparing),
            broken=catalog.broken,
            preparing=tuple(catalog.preparing),
            trust=None if start.tls is None else start.tls.trust,
            sign_in_code=parts.sign_ins.make_code if _is_loopback(listening) else None,
        )
    )


def _is_loopback(listening: socket.socket) -> bool:
    return ip_address(str(listening.getsockname()[0])).is_loopback
