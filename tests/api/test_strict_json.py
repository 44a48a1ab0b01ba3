"""Hostile bodies: never 500, nothing stored. Source: contract section 16, point 5; reliability note, section 4.2."""

import json
import random

import pytest
from msgspec import structs

from api.world import World
from halley import strict_json
from halley.errors import BadRequest, InputInvalid, TooLarge
from halley.settings import LimitSettings

MIB = 2**20
LIMITS = LimitSettings()


def parse(body: bytes) -> object:
    return strict_json.parse(body, LIMITS)


def inside(value: bytes) -> bytes:
    return b'{"version":"acme/free","input":{"a":' + value + b"}}"


BAD = [
    b"{",
    b"[]",
    b'"text"',
    b"null",
    b"1",
    b"\xef\xbb\xbf{}",
    '{"version":"acme/free"}'.encode("utf-16"),
    '{"version":"acme/free"}'.encode("utf-32-le"),
    b'{"version":"acme/free"} x',
    b"{'version':'acme/free'}",
    b'{"version":"acme/free",}',
    b'{"version":"acme/free","input":{},"input":{}}',
    b'{"version":"acme/free","version":"acme/free","input":{}}',
    b'{"version":"acme/free","input":{"a":1,"\\u0061":2}}',
    inside(b'[{"b":1,"b":1}]'),
    inside(b"NaN"),
    inside(b"Infinity"),
    inside(b"-Infinity"),
    inside(b"1e999"),
    inside(b"01"),
    inside(b"+1"),
    inside(b"0x1"),
    inside(b"1" * 5000),
    inside(b"1."),
    inside(b'"\xff"'),
    inside(b'"\xed\xa0\x80"'),
    inside(b'"\xc0\x80"'),
    inside(b'"\x00"'),
    inside(b'"\n"'),
    inside(b'"\\u0000"'),
    inside(b'"\\\\\\u0000"'),
    inside(b'"\\ud800"'),
    inside(b'"\\udc00"'),
    inside(b'"\\ud800\\u0041"'),
    inside(b'"\\x41"'),
    b'{"version":"acme/free","unknown":"\\u0000"}',
    b'{"version":"acme/free","unknown":NaN}',
    b'{"a\\u0000":1}',
    inside(b"[" * 63 + b"]" * 63),
    inside(b"[" * 100_000),
    inside(b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
    b"]" * 1000,
    b"{[" * 100 + b"]}" * 100,
]


@pytest.mark.anyio
@pytest.mark.parametrize("body", BAD, ids=lambda body: ascii(body[:40]))
async def test_it_is_400_and_nothing_is_stored(world: World, body: bytes) -> None:
    reply = await world.post("/v1/predictions", body)
    assert reply.status == 400, reply.body
    assert reply.json()["title"] == "Bad request"
    assert (await world.get("/v1/predictions")).json()["results"] == []


@pytest.mark.anyio
@pytest.mark.parametrize("number", [b"18446744073709551616", b"-9223372036854775809", b"1" * 30, b"-" + b"9" * 400])
async def test_integers_beyond_64_bits_are_422(world: World, number: bytes) -> None:
    reply = await world.post("/v1/predictions", inside(number))
    assert reply.status == 422
    assert (await world.get("/v1/predictions")).json()["results"] == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "value",
    [
        b"9007199254740993",
        b"18446744073709551615",
        b"-9223372036854775808",
        b"0.12345678901234567890123456789",
        b"1.5e300",
        b"123456789012345678901234567890.0",
        b"12345678901234567890123e-5",
        b'"12345678901234567890123456789"',
        b'"\\\\u0000"',
        b'"\\ud83d\\ude00"',
        b'"a\\"b:c{[d\\\\"',
        b'"{:[:"',
        b'{"":{"":[]}}',
        b"[" * 61 + b"]" * 61,
        b"[{},{},[],[[]]]",
        '"é😀\u2028"'.encode(),
        b"-0.0",
    ],
)
async def test_what_is_odd_but_right_comes_back_to_the_byte(world: World, value: bytes) -> None:
    reply = await world.post("/v1/predictions", inside(value))
    assert reply.status == 201, reply.body
    assert b'"input":{"a":' + value + b"}" in reply.body
    listed = await world.get("/v1/predictions")
    assert b'"input":{"a":' + value + b"}" in listed.body


@pytest.mark.anyio
@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_body_over_the_limit_is_413(pieces: int) -> None:
    world = await World(limits=LimitSettings(json_body_bytes=1000)).fill()
    fits = inside(b'"' + b"x" * 500 + b'"')
    assert (await world.post("/v1/predictions", fits, pieces=pieces)).status == 201
    large = inside(b'"' + b"x" * 1000 + b'"')
    reply = await world.post("/v1/predictions", large, pieces=pieces)
    assert (reply.status, reply.json()["title"]) == (413, "Payload too large")
    assert "limits.json_body_bytes" in reply.json()["detail"]
    announced = await world.post("/v1/predictions", fits, headers={"Content-Length": "5000"})
    assert announced.status == 413


@pytest.mark.anyio
async def test_an_inline_file_over_the_limit_is_413() -> None:
    world = await World(limits=LimitSettings(inline_data_bytes=3000)).fill()
    for head, fits, over in [("data:text/plain;base64,", 4000, 4012), ("data:,", 3000, 3100)]:
        for size, status in [(fits, 201), (over, 413)]:
            given = {"version": "acme/free", "input": {"x": [{"y": head + "A" * size}]}}
            assert (await world.post("/v1/predictions", given)).status == status, (head, size)
    for letters, status in [(3000, 201), (3100, 413)]:  # each %41 is one byte
        given = {"version": "acme/free", "input": {"x": "data:," + "%41" * letters}}
        assert (await world.post("/v1/predictions", given)).status == status
    plain = {"version": "acme/free", "input": {"x": "A" * 10_000}}
    assert (await world.post("/v1/predictions", plain)).status == 201


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/v1/predictions/%00", "/v1/predictions/%2F", "/v1/predictions/é", "/v1/%ff/x"])
async def test_odd_paths_are_404(world: World, path: str) -> None:
    assert (await world.get(path)).status == 404


def test_large_values_are_read_in_one_go() -> None:
    value = {"list": list(range(20_000)), "objects": [{"a": 1, "b": [{"c": ":{"}]}] * 2000, "text": "x" * 10**6}
    assert parse(json.dumps(value).encode()) == value


def test_depth_counts_levels() -> None:
    assert parse(b"[" * 64 + b"]" * 64)
    assert parse(b"[" + b",".join([b"[{}]"] * 200) + b"]")
    for body in (b"[" * 65 + b"]" * 65, b'{"a":[' * 33 + b"]}" * 33):
        with pytest.raises(BadRequest, match="deeper than 64"):
            parse(body)


def test_errors_have_their_own_kinds() -> None:
    with pytest.raises(TooLarge):
        strict_json.parse(b"[1,2,3]", structs.replace(LIMITS, json_body_bytes=3))
    with pytest.raises(InputInvalid):
        parse(b"[18446744073709551616]")


def test_short_and_long_texts_are_without_the_same_strings() -> None:
    chosen = random.Random(5)
    for length in range(400):
        text = "".join(chosen.choices('"{}[]:, 1ab', k=length % 60)).encode()
        short = strict_json.without_strings(text)
        long = strict_json.without_strings(text + b" " * strict_json.LIGHT_BYTES)
        if text.count(b'"') % 2:  # the last one is not terminated
            long = long.removesuffix(b'"')
        assert short.rstrip(b" ") == long.rstrip(b" ")
