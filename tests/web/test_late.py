"""The dashboard's modules are loaded with its first page, once, in a thread: many servers never show one."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest

from api.world import World
from halley.api.application import Api
from halley.api.http.routing import Route

pytestmark = pytest.mark.anyio


async def test_pages_are_loaded_once_and_by_their_paths_only(world: World) -> None:
    loads: list[bool] = []

    def load(_: Api) -> Sequence[Route]:
        loads.append(threading.current_thread() is threading.main_thread())
        return world.dashboard.routes

    world.api = Api(world.api.parts, load_pages=load)
    for path in ("/v1/models", "/v1/ui", "/else", "/readyz", "/favicon.ico"):
        await world.get(path)
    assert loads == []
    replies = await asyncio.gather(*[world.get("/ui", token=None) for _ in range(5)], world.get("/", token=None))
    assert [reply.status for reply in replies] == [303] * 5 + [200]
    assert loads == [False]


def test_a_server_begins_without_them() -> None:
    seen = (
        "import sys, halley.app.services; print(sorted(name for name in sys.modules if name.startswith('halley.web')))"
    )
    found = subprocess.run([sys.executable, "-c", seen], check=True, capture_output=True, text=True).stdout
    assert not {"halley.web.dashboard", "halley.web.routes", "jinja2"} & set(found.split("'"))
