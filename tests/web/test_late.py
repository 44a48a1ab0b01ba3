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


async def test_a_page_that_could_not_be_loaded_is_loaded_by_the_next_visitor(world: World) -> None:
    loads: list[int] = []

    def load(_: Api) -> Sequence[Route]:
        loads.append(1)
        if len(loads) == 1:
            raise OSError("too many open files")
        return world.dashboard.routes

    world.api = Api(world.api.parts, load_pages=load)
    replies = await asyncio.gather(*[world.get("/ui", token=None) for _ in range(3)])
    assert [reply.status for reply in replies] == [500] * 3
    assert (await world.get("/ui", token=None)).status == 303
    assert len(loads) == 2


def test_a_server_begins_without_them() -> None:
    seen = "import sys, halley.app.services; print([name for name in sys.modules if name.startswith('halley.web')])"
    found = subprocess.run([sys.executable, "-c", seen], check=True, capture_output=True, text=True).stdout
    assert "halley.webhooks" in found
    assert not [name for name in found.split("'") if f"{name}.".startswith("halley.web.")]


def test_templates_are_loaded_with_them_in_their_thread() -> None:
    seen = (
        "import sys; from halley.web.templating import Templates; one = Templates();"
        "assert 'jinja2' not in sys.modules; one.prepare('base.html'); print('jinja2' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", seen], check=True, capture_output=True, text=True).stdout
    assert found.strip() == "True"
