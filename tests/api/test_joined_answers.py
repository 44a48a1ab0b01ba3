"""Answers whose headers are joined have the bytes of those whose headers are listed."""

import pytest

from api.world import World
from halley.api.http.asgi import Exchange, Response, json_response
from halley.api.http.heads import JoinedHeaders, Starts, head_of, headers_in, joined
from halley.api.resources.create_answers import location
from halley.api.resources.pending_create import response
from halley.settings import ServerSettings

pytestmark = pytest.mark.anyio

DEFAULTS = [(b"date", b"Sat, 28 Nov 2026 21:00:00 GMT"), (b"server", b"x")]
STATUS = b"HTTP/1.1 201 Created\r\n"
ID = "0123456789abcdefghjkmnpqrs"


def exchange_of(world: World) -> Exchange:
    return Exchange({"method": "POST", "path": "/"}, "request-1", None, world.clock.monotonic())


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("applied", [[], [(b"preference-applied", b"wait=55, cancel-abandoned")]])
async def test_both_ways_send_the_same_bytes(
    world: World, applied: list[tuple[bytes, bytes]], *, keep_alive: bool
) -> None:
    variant = world.api.variants.of_base("http://proxy/50%25/replicate")
    answer, body = response(b'{"id":1}', variant, ID, applied), b'{"id":1}'
    listed = json_response(body, 201, [location(variant, ID), *applied])
    assert answer.lines
    data = joined(Starts().of(STATUS, DEFAULTS), answer, "request-1", keep_alive=keep_alive)
    for plain in (listed, response(body, variant, ID, applied)):
        headers = [*DEFAULTS, *world.api.headers_of(exchange_of(world), plain)]
        assert head_of(STATUS, headers, keep_alive=keep_alive) + body == data


def test_lines_are_read_back() -> None:
    made = JoinedHeaders(b"http://x/", [(b"a", b"b: c"), (b"d", b"")])
    assert headers_in(made.lines("id", 7)) == [
        (b"content-type", b"application/json"),
        (b"location", b"http://x/id"),
        (b"a", b"b: c"),
        (b"d", b""),
    ]


def test_a_control_character_is_refused() -> None:
    with pytest.raises(ValueError, match="control character"):
        JoinedHeaders(b"http://x/\r\nset-cookie: a", [])


def test_a_new_date_makes_new_first_lines() -> None:
    starts = Starts()
    assert starts.of(STATUS, DEFAULTS) == STATUS + b"date: Sat, 28 Nov 2026 21:00:00 GMT\r\nserver: x\r\n"
    assert starts.of(STATUS, [(b"date", b"later")]) == STATUS + b"date: later\r\n"


async def test_an_answer_with_joined_headers_gets_those_of_cors_too() -> None:
    world = await World(server=ServerSettings(cors_origins=("http://page",))).fill()
    reply = await world.post(
        "/v1/predictions",
        {"version": "acme/echo", "input": {"prompt": "hi"}},
        headers={"Origin": "http://page"},
    )
    assert reply.headers["access-control-allow-origin"] == "http://page"
    assert reply.headers["location"].endswith(reply.json()["id"])
    assert (reply.headers["cache-control"], reply.headers["content-length"]) == ("no-store", str(len(reply.body)))


async def test_an_ordinary_response_has_no_lines() -> None:
    assert Response().lines == b""
