"""Every route of the dashboard, from its table: forged requests change nothing, and nobody sees what is another's.

Rows that are added later are covered without further work.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from api.world import Reply, World
from halley.api.http.asgi import Call, Response
from halley.api.http.routing import Route, Router
from halley.api.internal import ApiAnswer, InternalApi
from halley.keys.records import Scope
from web.browser import Browser

pytestmark = pytest.mark.anyio

SECRET: Final = "a-secret-of-alice"
OWN_WAY: Final = frozenset({"ui.static", "ui.sign_in", "ui.sign_in.post", "root"})  # they show nothing of anyone
SIGNED_OUT: Final = frozenset({303, 401})
FORGED: Final[Mapping[str, tuple[str | None, dict[str, str]]]] = {
    "no token": (None, {}),
    "another token": ("x" * 43, {}),
    "another origin": ("", {"origin": "https://evil.example"}),
    "no origin of a page": ("", {"origin": "null"}),
    "another port": ("", {"origin": "http://localhost:1987"}),
    "a page of another site": ("", {"sec_fetch_site": "cross-site", "origin": ""}),
    "a page of a sibling": ("", {"sec_fetch_site": "same-site", "origin": ""}),
    "another host": ("", {"host": "evil.example:1986", "origin": "http://evil.example:1986"}),
    "a host that only begins like ours": ("", {"host": "localhost.evil.example", "origin": ""}),
    "in a frame": ("", {"sec_fetch_dest": "iframe"}),
}


@dataclass
class Asked:
    """An API that notes what pages ask of it."""

    api: InternalApi
    requests: list[tuple[str, str, int]] = field(default_factory=list)

    async def ask(self, call: Call, identity: Any, method: str, path: str, **more: Any) -> ApiAnswer:
        answer = await self.api.ask(call, identity, method, path, **more)
        self.requests.append((method, path, answer.status))
        return answer

    async def follow(self, call: Call, identity: Any, topic: str) -> Response:
        return await self.api.follow(call, identity, topic)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.api, name)


@dataclass
class Scene:
    """What alice has."""

    world: World
    asked: Asked
    params: dict[str, str]

    def path(self, route: Route) -> str:
        path = route.pattern
        for name in route.parameter_names:
            path = path.replace("{" + name + "}", self.params.get(name, "missing"))
        return path or "/"

    def routes(self, method: str) -> list[Route]:
        return [route for route in self.world.api.router.routes if route.is_page and route.method == method]


@pytest.fixture
async def scene(world: World) -> Scene:
    return await scene_of(world)


async def scene_of(world: World) -> Scene:
    """Alice has a finished prediction, and one that waits."""
    version = {"version": "acme/free", "input": {"prompt": SECRET}}
    done = (await world.post("/v1/predictions", version)).json()["id"]
    await world.start(done)
    await world.log(done, SECRET)
    await world.output(done, SECRET)
    await world.finish(done)
    open_one = (await world.post("/v1/predictions", version)).json()["id"]
    key = (await world.keys.verify(world.token)).key
    content = f'--b\r\nContent-Disposition: form-data; name="content"; filename="{SECRET}.txt"\r\n\r\nabc\r\n--b--\r\n'
    multipart = {"content-type": "multipart/form-data; boundary=b"}
    file = (await world.post("/v1/files", content.encode(), headers=multipart)).json()["id"]
    delivery = (await world.delivery(done)).id
    asked = Asked(world.dashboard.api)
    world.dashboard.api = asked  # type: ignore[assignment]
    params = {
        "prediction_id": open_one,
        "id": done,
        "model_owner": "acme",
        "model_name": "free",
        "owner": "acme",
        "name": "free",
        "key_id": key.id,
        "file_id": file,
        "delivery_id": delivery,
        "version_id": world.versions["acme/free"],
        "digest": "0",
    }
    return Scene(world, asked, params)


async def forged(scene: Scene, browser: Browser) -> list[str]:
    """State-changing routes that do something although the request is forged, or sent without a sign-in."""
    faults = []
    for route in scene.routes("POST"):
        path = scene.path(route)
        for what, (token, headers) in FORGED.items():
            if route.name == "ui.sign_in.post" and token != "":
                continue  # it needs a key instead
            scene.asked.requests.clear()
            reply = await browser.post(path, {"key": scene.world.token}, token=token, **headers)
            if reply.status != 403 or scene.asked.requests or b"set-cookie" in dict(reply.raw_headers):
                faults.append(f"{route.name}: {what}")
        if route.name not in OWN_WAY:
            reply = await Browser(scene.world).post(path)
            if reply.status not in SIGNED_OUT or scene.asked.requests:
                faults.append(f"{route.name}: not signed in")
    return faults


async def leaks(scene: Scene, browser: Browser, *, is_signed_in: bool) -> list[str]:
    """Pages that show alice's data to this browser, or anything to one that is not signed in."""
    faults = []
    for route in scene.routes("GET"):
        if route.name == "ui.live" and is_signed_in:
            continue  # a stream, of the account itself: test_live
        for path in (scene.path(route), f"{scene.path(route)}?model=acme/free&status=succeeded"):
            reply = await browser.get(path)
            if SECRET.encode() in reply.body or (not is_signed_in and not _is_closed(route, reply)):
                faults.append(f"{route.name} {path}: {reply.status}")
    return faults


def _is_closed(route: Route, reply: Reply) -> bool:
    return route.name in OWN_WAY or reply.status in SIGNED_OUT


async def test_forged_requests_change_nothing(scene: Scene, browser: Browser) -> None:
    assert await forged(scene, browser) == []
    assert (await browser.get("/ui")).status == 200  # it was not signed out


async def test_a_page_is_shown_under_our_host_and_in_no_frame(scene: Scene, browser: Browser) -> None:
    for route in scene.routes("GET"):
        for headers in ({"host": "evil.example:1986"}, {"sec_fetch_dest": "iframe"}):
            reply = await browser.get(scene.path(route), accept="text/html", **headers)
            assert reply.status == 403, route.name
            assert SECRET.encode() not in reply.body


async def test_others_see_nothing_of_it(scene: Scene, browser: Browser) -> None:
    world = scene.world
    stranger = await Browser(world).signed_in(world.other_token)
    revoked_token, revoked_key = await world.keys.issue("alice", "soon revoked")
    revoked = await Browser(world).signed_in(revoked_token)
    await world.keys.revoke(revoked_key.id)
    assert await leaks(scene, stranger, is_signed_in=True) == []
    assert await leaks(scene, Browser(world), is_signed_in=False) == []
    assert await leaks(scene, revoked, is_signed_in=False) == []


async def test_a_writer_that_may_not_read_sees_nothing_of_other_keys(scene: Scene) -> None:
    token, _ = await scene.world.keys.issue("alice", "writer", frozenset({Scope.WRITE}))
    assert await leaks(scene, await Browser(scene.world).signed_in(token), is_signed_in=True) == []


async def test_a_reader_changes_nothing(scene: Scene) -> None:
    token, _ = await scene.world.keys.issue("alice", "reader", frozenset({Scope.READ}))
    for route in scene.routes("POST"):
        reader = await Browser(scene.world).signed_in(token)
        scene.asked.requests.clear()
        await reader.post(scene.path(route))
        written = [asked for asked in scene.asked.requests if asked[0] != "GET" and asked[2] < 400]
        assert written == [], route.name


async def test_strangers_change_nothing(scene: Scene) -> None:
    for route in scene.routes("POST"):
        if route.parameter_names:
            stranger = await Browser(scene.world).signed_in(scene.world.other_token)
            await stranger.post(scene.path(route))
    row = await scene.world.row(scene.params["prediction_id"])
    done = await scene.world.row(scene.params["id"])
    assert not row.is_terminal
    assert row.data_removed_at is None
    assert done.data_removed_at is None
    assert len((await scene.world.get("/v1/files")).json()["results"]) == 1


async def test_a_route_without_the_guard_is_caught(scene: Scene, browser: Browser) -> None:
    world = scene.world

    async def careless(call: Call, _: object) -> Response:
        return Response(body=SECRET.encode() if call.method == "GET" else b"done")

    planted = [
        Route(
            name=f"ui.planted.{method}",
            method=method,
            pattern="/ui/planted",
            handler=careless,
            is_page=True,
            at_root=True,
        )
        for method in ("GET", "POST")
    ]
    world.api.router = Router((*world.api.router.routes, *planted))
    found = await forged(scene, browser)
    assert len(found) == len(FORGED) + 1
    assert all(fault.startswith("ui.planted.POST") for fault in found)
    assert len(await leaks(scene, Browser(world), is_signed_in=False)) == 2


def test_all_routes_of_pages_are_below_ui(world: World) -> None:
    for route in world.api.router.routes:
        assert route.is_page == (
            route.pattern == "" or route.pattern.startswith(("/ui/", "/ui.")) or route.pattern == "/ui"
        )
