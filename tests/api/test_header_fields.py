"""Header fields, inputs and bodies in odd and oversized spellings: what each means, and that it takes little work."""

import asyncio
import base64
import gzip
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from api.test_files import FORM, form, painted, part
from api.world import World, schema, settled
from halley.models.records import Model, Version
from halley.settings import LimitSettings, ServerSettings

pytestmark = pytest.mark.anyio
ROOT = "http://localhost:1986"
FILE_INPUT = schema({"image": {"type": "string", "format": "uri"}, "text": {"type": "string"}})


@contextmanager
def little_work(seconds: float = 2.0) -> Iterator[None]:
    """Processor time, far above what linear work takes and far below what was taken by work that grows faster."""
    began = time.thread_time()
    yield
    assert time.thread_time() - began < seconds


async def seeing(world: World) -> World:
    """With a model that takes a picture."""
    now = world.clock.now()
    version = Version(id="f" * 64, model="acme/see", created_at=now, openapi_schema=FILE_INPUT)
    await world.catalog.register(Model(owner="acme", name="see", created_at=now), version)
    return world


async def see(world: World, image: str) -> Any:
    return await world.post("/v1/predictions", {"version": "acme/see", "input": {"image": image}})


# bounded work -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("range", "bytes=" + " " * 31_000 + "x", 200),
        ("range", "bytes=" + " " * 15_000 + "-" + " " * 15_000 + "x", 200),
        ("range", "bytes=" + "0-1," * 7_000, 200),
        ("range", "bytes= 1 - 2 ", 206),
        ("if-none-match", '"' * 31_000, 200),
        ("if-none-match", 'W/"' * 10_000, 200),
        ("if-range", '"' + " " * 31_000, 200),
        ("origin", "h" * 31_000, 200),
    ],
    ids=lambda value: str(value)[:12],
)
async def test_a_header_of_a_file_takes_little_work(world: World, name: str, value: str, status: int) -> None:
    link = (await world.get(f"/v1/predictions/{await painted(world)}")).json()["output"]
    with little_work():
        for _ in range(3):
            reply = await world.get(link.removeprefix(ROOT), token=None, headers={name: value})
    assert reply.status == status


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("prefer", "wait" + " " * 31_000 + "x", 201),
        ("prefer", '"' * 31_000, 201),
        ("prefer", ('x="' + "\\" * 100) * 300, 201),
        ("prefer", "," * 31_000, 201),
        ("cancel-after", "9" * 31_000, 422),
        ("cancel-after", "1h" * 15_000, 422),
        ("idempotency-key", "k" * 31_000, 400),
        ("content-type", "multipart/form-data;" + ' ;a="' * 6_000, 201),
        ("x-request-id", "a" * 31_000, 201),
        ("x-forwarded-host", "a," * 15_000, 201),
        ("host", "a." * 15_000, 201),
        ("accept", "text/*;q=1," * 2_800, 201),
    ],
    ids=lambda value: str(value)[:12],
)
async def test_a_header_of_a_create_takes_little_work(name: str, value: str, status: int) -> None:
    world = await World(server=ServerSettings(trusted_proxies=("127.0.0.1",))).fill()
    with little_work():
        reply = await world.post("/v1/predictions", {"version": "acme/free"}, headers={name: value})
    assert reply.status == status


@pytest.mark.parametrize(
    "disposition",
    [
        ' "' * 7_000,
        ";" * 15_000,
        ' x="' + ";" * 15_000,
        '; filename="' + '\\"' * 7_000,
        "; filename*=" + "'" * 15_000,
        "; filename*=utf-8''" + "%41" * 5_000,
    ],
    ids=lambda value: value[:14],
)
async def test_the_fields_of_an_upload_take_little_work(world: World, disposition: str) -> None:
    with little_work():
        for _ in range(3):
            kind = f"multipart/form-data; boundary=xx{disposition}"
            body = form(part("content", b"a", extra=disposition[:7_000]))
            reply = await world.post("/v1/files", body, headers={"content-type": kind})
    assert reply.status in (201, 400, 422), reply.body


@pytest.mark.parametrize(
    "url",
    [
        "%41" * 3_000_000,
        "https://x.example/" + "%41" * 3_000_000,
        "http://" + "ü" * 1_000_000 + ".example/",
        "http://" + "ü" * 8_000 + ".example/",
        f"{ROOT}/v1/files/" + "%30" * 3_000_000,
        f"{ROOT}" + "/v1" * 3_000_000,
    ],
    ids=lambda value: value[:24],
)
async def test_the_length_of_a_url_is_looked_at_first(url: str) -> None:
    world = await seeing(await World().fill())
    with little_work(1.5):
        reply = await see(world, url)
        hooked = await world.post("/v1/predictions", {"version": "acme/free", "webhook": url})
    assert (reply.status, hooked.status) == (422, 422)
    assert len(reply.body) < 1000
    assert len(hooked.body) < 1000


async def test_a_url_of_24_mib_is_refused_at_once() -> None:
    world = await seeing(await World().fill())
    body = b'{"version": "acme/see", "input": {"image": "https://x.example/%b"}}' % (b"%41" * 8 * 2**20)
    with little_work(2.5):
        reply = await world.post("/v1/predictions", body)
    assert reply.status == 422
    assert "longer than 8192" in reply.json()["detail"]


async def test_a_percent_encoded_data_url_takes_little_work() -> None:
    world = await seeing(await World().fill())
    with little_work():
        reply = await see(world, "data:text/plain," + "%41" * 3_000_000)
    assert reply.status == 201
    with little_work():
        reply = await see(world, "data:" + ";" * 9_000_000 + ",x")
    assert reply.status == 422


# data URLs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("data:image/png;base64,iVBO\r\nRw0K\r\nGgo=\r\n", 201),
        ("data:image/png;base64, iVBO Rw0K Ggo", 201),
        ("data:image/png;base64,iVBORw0KGgo%3D", 201),
        ("data:None;base64,iVBORw0KGgo=", 201),
        ("data:image/png;base64,iVBORw0KGgo=!", 422),
        ("data:image/png;base64,iVBORw0KGgo*", 422),
        ("data:image/png;base64,A", 422),
        ("data:image/png;base64", 422),
    ],
)
async def test_bad_base64_is_refused_at_the_create(url: str, status: int) -> None:
    world = await seeing(await World().fill())
    reply = await see(world, url)
    assert reply.status == status, reply.body
    if status == 422:
        assert reply.json()["invalid_fields"][0]["field"] == "input.image"


async def test_the_size_of_a_data_url_is_that_of_its_bytes() -> None:
    world = await seeing(await World(limits=LimitSettings(inline_data_bytes=3000)).fill())
    for size, status in ((3000, 201), (3001, 413)):
        for text in (
            base64.b64encode(b"x" * size).decode(),
            base64.encodebytes(b"x" * size).decode(),
            base64.encodebytes(b"x" * size).decode().replace("\n", "%0D%0A"),
        ):
            reply = await see(world, f"data:image/png;base64,{text}")
            assert reply.status == status, reply.body
            assert status == 201 or "limits.inline_data_bytes" in reply.json()["detail"]


# Prefer -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=20.5", "wait=21"),
        ("wait=0.2", "wait=1"),
        ("wait=9999999999", "wait=55"),
        ("wait=" + "9" * 30, "wait=55"),
        ("wait=" + "9" * 5000, "wait=55"),
        ("wait=007." + "0" * 5000, "wait=7"),
        ("wait=", "wait=55"),
        ('wait=""', "wait=55"),
        ('wait="7"', "wait=7"),
        ("WAIT = 7 ; strict=1", "wait=7"),
        ('note="a, wait=3", wait=8', "wait=8"),
        ("respond-async, wait=9, wait=10", "wait=9"),
    ],
    ids=lambda value: value[:20],
)
async def test_odd_spellings_of_a_wait(world: World, prefer: str, applied: str) -> None:
    body = {"version": "acme/free"}
    asked = asyncio.ensure_future(world.post("/v1/predictions", body, headers={"Prefer": prefer}))
    await settled()
    is_held = not asked.done()
    world.api.release_waiting()
    reply = await asked
    assert (is_held, reply.headers.get("preference-applied")) == (True, applied)


# file names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        ('; filename="/home/me/photo.png"', "photo.png"),
        ('; filename="C:\\Users\\me\\photo.png"', "photo.png"),
        ('; filename="C:\\\\Users\\\\me\\\\photo.png"', "photo.png"),
        ('; filename="../../photo.png"', "photo.png"),
        ("; filename*=UTF-8''%e2%82%ac%20rates.png", "€ rates.png"),
        ("; filename=\"plain.png\"; filename*=UTF-8''%e2%82%ac.png", "€.png"),
        ("; filename*=utf-8'en'%2Fhome%2Fme%2F%e2%82%ac.png; filename=\"plain.png\"", "€.png"),
        ("; filename*=iso-8859-1''%a3.png; filename=\"plain.png\"", "£.png"),
        ("; filename*=klingon''%a3.png; filename=\"plain.png\"", "plain.png"),
        ('; filename="a\\"b;c.png"', "a_b;c.png"),
        ("; FileName=plain.png", "plain.png"),
        ('; filename="' + "d/" * 300 + 'deep.png"', "deep.png"),
    ],
    ids=lambda value: value[:40],
)
async def test_the_name_of_an_upload(world: World, extra: str, name: str) -> None:
    reply = await world.post("/v1/files", form(part("content", b"x", extra=extra)), **FORM)
    assert (reply.status, reply.json().get("name")) == (201, name)


async def test_a_field_may_give_the_path_of_an_upload(world: World) -> None:
    body = form(part("filename", "/home/me/ü.png".encode()), part("content", b"x", file="upload"))
    assert (await world.post("/v1/files", body, **FORM)).json()["name"] == "ü.png"
    long = form(part("content", b"x", extra="; filename*=UTF-8''" + "%C3%BC" * 128))
    assert (await world.post("/v1/files", long, **FORM)).status == 422


# CORS -------------------------------------------------------------------------------------------------------------

ASKED = "authorization,if-range,x-stainless-arch,x-stainless-retry-count"


async def test_a_preflight_repeats_the_names_that_a_listed_origin_wants_to_send() -> None:
    world = await World(server=ServerSettings(cors_origins=("https://app.example",))).fill()
    for origin, is_repeated in (("https://app.example", True), ("https://evil.example", False)):
        asks = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": ASKED}
        reply = await world.request("OPTIONS", "/v1/predictions", headers=asks, token=None)
        assert (reply.headers["access-control-allow-headers"] == ASKED) is is_repeated
    asks["Access-Control-Request-Headers"] = "x\r\nset-cookie: a"
    reply = await world.request("OPTIONS", "/v1/predictions", headers=asks, token=None)
    assert "cookie" not in reply.headers["access-control-allow-headers"]


async def test_a_preflight_for_a_link_repeats_the_names_too(world: World) -> None:
    link = (await world.get(f"/v1/predictions/{await painted(world)}")).json()["output"].removeprefix(ROOT)
    asks = {"Origin": "https://x.example", "Access-Control-Request-Headers": ASKED}
    reply = await world.request("OPTIONS", link, headers=asks, token=None)
    assert reply.headers["access-control-allow-headers"] == ASKED


# messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (gzip.compress(b"{}", mtime=0), 415, "gzip"),
        (zlib.compress(b"{}"), 415, "deflate"),
        (b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00{}", 415, "zstd"),
        ("{}".encode("utf-16-le"), 400, "UTF-16"),
        ("{}".encode("utf-16-be"), 400, "UTF-16"),
        (rb'{"version": "acme/free", "input": {"a": "\ud800"}}', 400, "surrogate"),
        (rb'{"a":"\ud800"}', 400, "surrogate"),
        (rb'{"a":"\udc00 more"}', 400, "surrogate"),
        (b'{"version": ""}', 422, "empty"),
        (b'{"version": 1}', 422, "string"),
        (b"\xef\xbb\xbf{}", 400, "byte order mark"),
        ("{}".encode("utf-16"), 400, "UTF-16"),
        (b'--xx\r\nContent-Disposition: form-data; name="input"\r\n', 400, "form"),
        (b'{"a": "\xff"}', 400, "UTF-8"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_refused_body_gets_the_reason(world: World, body: bytes, status: int, word: str) -> None:
    reply = await world.post("/v1/predictions", body)
    assert reply.status == status
    assert word in reply.json()["detail"]


async def test_an_encoded_body_is_415(world: World) -> None:
    headers = {"content-encoding": "gzip"}
    for path, body in (("/v1/predictions", gzip.compress(b"{}", mtime=0)), ("/v1/files", b"x")):
        reply = await world.post(path, body, headers={**FORM["headers"], **headers})
        assert (reply.status, reply.headers["accept-encoding"]) == (415, "identity")
    plain = await world.post("/v1/predictions", {"version": "acme/free"}, headers={"content-encoding": "identity"})
    assert plain.status == 201


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        (rb'{"a": "\u0000"}', "NUL"),
        (rb'{"a": "\ud800"}', "surrogate"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[]", "object"),
        (b"{", "truncated"),
    ],
)
async def test_refused_metadata_gets_the_reason(world: World, metadata: bytes, word: str) -> None:
    reply = await world.post("/v1/files", form(part("content", b"a"), part("metadata", metadata)), **FORM)
    assert reply.status == 422
    (fault,) = reply.json()["invalid_fields"]
    assert fault["field"] == "metadata"
    assert word in fault["description"]
    assert "body" not in fault["description"]


async def test_a_name_of_metadata_holds_no_nul(world: World) -> None:
    for name in ("metadata[a\0]", "metadata[a][\0]"):
        reply = await world.post("/v1/files", form(part("content", b"a"), part(name, b"b")), **FORM)
        assert reply.status == 422
        assert "NUL" in reply.json()["detail"]
