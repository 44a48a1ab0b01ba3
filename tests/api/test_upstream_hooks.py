"""Webhooks of services elsewhere arrive at secret addresses. They are hints, and whoever sends them learns nothing."""

import logging

import pytest

from api.world import World
from halley.dispatch.upstream_hooks import HookPlace, UpstreamHint
from halley.settings import LimitSettings, ServerSettings

pytestmark = pytest.mark.anyio

ID = "a" * 26


@pytest.fixture
async def world() -> World:
    return await World(server=ServerSettings(access_log=True)).fill()


def hint(upstream_id: str = "", *, has_ended: bool = False, attempt: int = 1) -> UpstreamHint:
    return UpstreamHint(place=HookPlace(ID, attempt, "back"), upstream_id=upstream_id, has_ended=has_ended)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"id":"abc","status":"processing","output":["x"]}', hint("abc")),
        (b'{"status":"succeeded","id":"abc"}', hint("abc", has_ended=True)),
        (b'{"id":"abc","status":"no such word"}', hint("abc")),
        (b'{"id":7,"status":["succeeded"]}', hint()),
        (b'{"id":"' + b"x" * 300 + b'"}', hint()),
        (b"", hint()),
        (b"<html>", hint()),
        (b"[" * 100_000, hint()),
        (b'{"id":"\xff"}', hint()),
        (b'"abc"', hint()),
    ],
)
async def test_what_arrives_is_a_hint_whatever_its_body_is(world: World, body: bytes, said: UpstreamHint) -> None:
    reply = await world.post(world.links.hook_path(ID, 1, "back"), body, token=None)
    assert (reply.status, reply.body, world.hints) == (204, b"", [said])


async def test_only_our_own_addresses_are_accepted_and_no_answer_says_more(world: World) -> None:
    path = world.links.hook_path(ID, 1, "back")
    made = await world.create()
    real = world.links.hook_path(made["id"], 1, "back")
    forged = [
        path[:-1] + ("A" if path[-1] != "A" else "B"),
        path.replace(f"{ID}-1-", f"{ID}-2-"),
        path.replace("-back-", "-other-"),
        path.replace("-back-", "-"),
        path.replace(ID, "b" * 26),
        real.replace(made["id"], ID),
        f"/v1/upstreams/hooks/{world.links.stream(ID)}",
        f"/v1/upstreams/hooks/{ID}-1-",
        "/v1/upstreams/hooks/" + "é" * 10,
        "/v1/upstreams/hooks/" + "a" * 5000,
    ]
    for one in forged:
        reply = await world.post(one, b'{"id":"abc"}', token=None)
        assert reply.status == 404, one
        assert made["id"] not in reply.body.decode()
    assert world.hints == []
    for attempt in (1, 2, 35, 36**4):
        known = await world.post(world.links.hook_path(made["id"], attempt, "back"), b'{"id":"abc"}', token=None)
        unknown = await world.post(world.links.hook_path(ID, attempt, "back"), b'{"id":"abc"}', token=None)
        assert (known.status, known.body) == (unknown.status, unknown.body) == (204, b"")
    assert {one.place.attempt for one in world.hints} == {1, 2, 35, 36**4}
    assert (await world.get(path, token=None)).status == 405


async def test_a_large_body_is_refused_and_a_forged_address_is_refused_before_it() -> None:
    world = await World(limits=LimitSettings(json_body_bytes=1000)).fill()
    reply = await world.post(world.links.hook_path(ID, 1, "back"), b"x" * 1001, token=None, pieces=4)
    assert (reply.status, world.hints) == (413, [])
    reply = await world.post("/v1/upstreams/hooks/x", b"x" * 1001, token=None)
    assert reply.status == 404
    assert world.api.parts.bodies.held_bytes == 0


async def test_no_log_has_the_token(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path = world.links.hook_path(ID, 1, "back")
    for one in (path, path[:-1], f"/x{path}", f"/replicate{path}"):
        await world.post(one, b"{}", token=None)
    assert "/upstreams/hooks/{capability}" in caplog.text
    assert path.rpartition("-")[2][:20] not in caplog.text
