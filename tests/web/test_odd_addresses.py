"""Whatever is in an address or a form: a page says what is wrong with it, and never that the server failed.

Rows that are added later are covered without further work.
"""

import re
from typing import Final
from urllib.parse import quote

import pytest

from api.world import World
from halley.keys.records import Scope
from web.browser import Browser

pytestmark = pytest.mark.anyio

ODD: Final = ("/", "//", "..", "%", "%2F", "a/b", "?", "\0", "é\u202e", "9" * 30, ".json", "x" * 3000)
QUERY: Final = ("model", "cursor", "prediction", "limit", "tag", "since", "after", "a", "tab", "input", "file")
STREAMS: Final = frozenset({"ui.live"})


async def admin_of(world: World) -> Browser:
    token, _ = await world.keys.issue("root", "admin", frozenset({Scope.ADMIN}))
    return await Browser(world).signed_in(token)


async def test_odd_parts_of_a_path_are_of_nothing(world: World) -> None:
    admin = await admin_of(world)
    faults = []
    for route in world.api.router.routes:
        if not route.is_page or not route.parameter_names:
            continue
        for odd in ODD:
            path = re.sub(r"\{\w+\}", quote(odd, safe=""), route.pattern)
            reply = await (admin.get(path) if route.method == "GET" else admin.post(path))
            if reply.status >= 500:
                faults.append(f"{route.name} {odd[:20]!r}: {reply.status}")
    assert faults == []


async def test_odd_members_of_a_query_are_refused_or_ignored(world: World) -> None:
    admin = await admin_of(world)
    faults = []
    for route in world.api.router.routes:
        if not route.is_page or route.method != "GET" or route.parameter_names or route.name in STREAMS:
            continue
        for odd in ODD:
            query = "&".join(f"{name}={quote(odd[:200], safe='')}" for name in QUERY)
            for asked in (query, *[part for part in query.split("&") if odd == "/"]):
                reply = await admin.get(f"{route.pattern or '/'}?{asked}")
                if reply.status >= 500:
                    faults.append(f"{route.name} {asked[:60]}: {reply.status}")
    assert faults == []
