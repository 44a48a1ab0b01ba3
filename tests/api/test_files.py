"""Uploads in every shape, downloads, delivery of outputs. Source: contract sections 13 and 14."""

import hashlib
import hmac
from base64 import b64encode
from urllib.parse import quote

import pytest

from api.world import SECRET, World
from halley.keys.records import Scope
from halley.settings import LimitSettings, QuirkSettings, RetentionSettings

pytestmark = pytest.mark.anyio
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 90
ROOT = "http://localhost:1986"
PY1 = {"User-Agent": "replicate-python/1.0.7"}


def part(name: str, data: bytes, *, file: str | None = None, kind: str | None = None, extra: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if file is not None:
        disposition += f'; filename="{file}"'
    lines = [disposition + extra] + ([f"Content-Type: {kind}"] if kind else [])
    return "\r\n".join(["--xx", *lines, "", ""]).encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xx--\r\n"


FORM = {"headers": {"content-type": "multipart/form-data; boundary=xx"}}

SHAPES = {
    "py1": (
        form(part("metadata", b'{"a": "1"}'), part("content", b"abc", file="hello.txt", kind="text/plain")),
        ("hello.txt", "text/plain", {"a": "1"}),
    ),
    "py2": (
        form(
            part("filename", b"hello.txt"),
            part("metadata[a]", b"1"),
            part("metadata[n][b]", b"2"),
            part("type", b"text/plain"),
            part("content", b"abc", file="upload", kind="application/octet-stream"),
        ),
        ("hello.txt", "text/plain", {"a": "1", "n": '{"b":"2"}'}),
    ),
    "js": (
        form(
            part("content", b"abc", file="blob_1767225600000", kind="text/plain"),
            part("metadata", b"{}", file="blob", kind="application/json"),
        ),
        ("blob_1767225600000", "text/plain", {}),
    ),
    "go": (
        form(part("content", b"abc", file="file", kind="image/png"), part("metadata", b'{"k":"v","n":3}')),
        ("file", "image/png", {"k": "v", "n": "3"}),
    ),
    "curl": (
        form(
            part("content", b"abc", file="x.zip", kind="application/zip"),
            part("type", b"application/x-zip"),
            part("filename", "später.zip".encode()),
            part("metadata", b'{"a":"b"}', kind="application/json"),
        ),
        ("später.zip", "application/x-zip", {"a": "b"}),
    ),
    "bare": (form(part("content", b"abc")), ("file", "application/octet-stream", {})),
}


@pytest.mark.parametrize("pieces", [1, 3, 200])
@pytest.mark.parametrize("client", SHAPES)
async def test_each_clients_upload_is_understood(world: World, client: str, pieces: int) -> None:
    body, (name, kind, metadata) = SHAPES[client]
    reply = await world.post("/v1/files", body, pieces=pieces, **FORM)
    shown = reply.json()
    digest = hashlib.sha256(b"abc").hexdigest()
    assert reply.status == 201, shown
    assert shown.pop("created_at").endswith("Z")
    assert shown.pop("expires_at").endswith("Z")
    file_id = shown.pop("id")
    link = shown["urls"].pop("download")
    assert link.startswith(f"{ROOT}/v1/files/{file_id}/download?")
    fetched = await world.get(link.removeprefix(ROOT), token=None)
    assert (fetched.status, fetched.body) == (200, b"abc")
    assert shown == {
        "name": name,
        "content_type": kind,
        "size": 3,
        "etag": digest,
        "checksums": {"sha256": digest},
        "metadata": metadata,
        "urls": {"get": f"{ROOT}/v1/files/{file_id}"},
    }
    again = await world.get(f"/v1/files/{file_id}")
    assert (again.status, again.json()) == (200, reply.json())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"abc", 400),
        (form(part("other", b"x")), 422),
        (form(part("content", b"a"), part("content", b"b")), 400),
        (part("content", b"abc"), 400),
        (form(part("content", b"abc", file="n" * 256)), 422),
        (form(part("content", b"a"), part("metadata", b"[1]")), 422),
        (form(part("content", b"a"), part("metadata", b"{")), 422),
        (form(part("content", b"a"), part("metadata", b'{"a":1,"a":2}')), 422),
        (form(part("content", b"a"), part("metadata", b"x" * 70_000)), 413),
        (form(part("content", b"a"), *[part(f"f{n}", b"") for n in range(300)]), 413),
        (b"--xx\r\nX: " + b"y" * 20_000 + b"\r\n\r\n\r\n--xx--\r\n", 400),
        (b"--xx\r\nno colon\r\n\r\nabc\r\n--xx--\r\n", 400),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_broken_uploads_are_refused_and_nothing_is_kept(world: World, body: bytes, status: int) -> None:
    reply = await world.post("/v1/files", body, **FORM)
    assert reply.status == status, reply.body
    assert (await world.get("/v1/files")).json()["results"] == []
    assert not world.blobs._bytes


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "multipart/mixed; boundary=xx", ""])
async def test_other_content_types_are_400(world: World, kind: str) -> None:
    assert (await world.post("/v1/files", SHAPES["bare"][0], headers={"content-type": kind})).status == 400


async def test_a_file_over_the_limit_is_413() -> None:
    world = await World(limits=LimitSettings(upload_bytes=1000)).fill()
    assert (await world.post("/v1/files", form(part("content", b"x" * 1000)), **FORM)).status == 201
    reply = await world.post("/v1/files", form(part("content", b"x" * 1001)), pieces=5, **FORM)
    assert reply.status == 413
    assert "limits.upload_bytes" in reply.json()["detail"]


async def test_large_uploads_pass_through_the_spool(world: World) -> None:
    data = bytes(range(256)) * 20_000
    made = (await world.post("/v1/files", form(part("content", data, file="big.bin")), pieces=80, **FORM)).json()
    assert made["size"] == len(data)
    assert made["checksums"]["sha256"] == hashlib.sha256(data).hexdigest()


async def test_files_are_listed_and_deleted(world: World) -> None:
    ids = [(await world.post("/v1/files", SHAPES["bare"][0], **FORM)).json()["id"] for _ in range(3)][::-1]
    first = (await world.get("/v1/files?limit=2")).json()
    assert [file["id"] for file in first["results"]] == ids[:2]
    second = (await world.get(first["next"].removeprefix(ROOT))).json()
    assert ([file["id"] for file in second["results"]], second["next"]) == (ids[2:], None)
    deleted = await world.request("DELETE", f"/v1/files/{ids[0]}")
    assert (deleted.status, deleted.body) == (204, b"")
    assert (await world.get(f"/v1/files/{ids[0]}")).status == 404
    assert (await world.request("DELETE", f"/v1/files/{ids[0]}")).status == 404


async def test_an_expired_file_is_absent(world: World) -> None:
    made = (await world.post("/v1/files", SHAPES["bare"][0], **FORM)).json()
    world.clock.advance(86_401)
    assert (await world.get(f"/v1/files/{made['id']}")).status == 404


# signed downloads -------------------------------------------------------------------------------------------------


def signed(world: World, file_id: str, seconds: int = 60, *, owner: str = "alice", secret: bytes = SECRET) -> str:
    expiry = int(world.clock.now().timestamp()) + seconds
    mac = hmac.digest(secret, f"{owner} {file_id} {expiry}".encode(), "sha256")
    return f"/v1/files/{file_id}/download?expiry={expiry}&owner={owner}&signature={quote(b64encode(mac).decode())}"


async def test_a_signed_download_needs_no_key(world: World) -> None:
    made = (await world.post("/v1/files", SHAPES["py1"][0], **FORM)).json()
    reply = await world.get(signed(world, made["id"]), token=None)
    assert (reply.status, reply.body) == (200, b"abc")
    assert reply.headers["content-disposition"].startswith("attachment")
    assert reply.headers["content-length"] == "3"
    assert reply.headers["etag"] == f'"{made["etag"]}"'
    assert reply.headers["x-content-type-options"] == "nosniff"
    part_of = await world.get(signed(world, made["id"]), token=None, headers={"Range": "bytes=1-"})
    assert (part_of.status, part_of.body, part_of.headers["content-range"]) == (206, b"bc", "bytes 1-2/3")


async def test_wrong_or_expired_downloads_are_403(world: World) -> None:
    made = (await world.post("/v1/files", SHAPES["py1"][0], **FORM)).json()
    right = signed(world, made["id"])
    base = right.partition("?")[0]
    for wrong in (
        base,
        right.replace("owner=alice", "owner=bob"),
        signed(world, made["id"], secret=b"other"),
        signed(world, made["id"], -1),
        f"{base}?expiry=soon&owner=alice&signature=x",
        f"{base}?expiry={'9' * 50}&owner=alice&signature=x",
        f"{base}?expiry=1&owner=alice&signature=%C3%A9",
    ):
        assert (await world.get(wrong)).status == 403, wrong
    assert (await world.get(signed(world, "0" * 26))).status == 404


async def test_the_documented_vector_is_ours() -> None:
    from halley.assets.links import download_signature

    signature = download_signature(SECRET, owner="acme", file_id="cneqzikepnug6xezperrr4z55o", expiry=1767225600)
    assert signature == "FdmcOzyd1a0j+iNsODI4tlgFnHyNsELCybBIPwSKXiI="


# delivery of outputs ----------------------------------------------------------------------------------------------


async def painted(
    world: World, *, wait: bool = False, size: int = 98, kind: str = "image/png", name: str = "a b.png"
) -> str:
    """A finished prediction with one file."""
    import asyncio

    from api.world import settled

    headers = {"Prefer": "wait"} if wait else {}
    body = {"version": "acme/paint", "input": {}}
    asked = asyncio.ensure_future(world.post("/v1/predictions", body, headers=headers))
    await settled()
    account = (await world.keys.verify(world.token)).account.id
    made = (await world.store.page(account, limit=1)).items[0]
    file = await world.keep(made.id, 0, name, (PNG + b"\0" * size)[:size], kind)
    await world.run(made.id, file.ref, files=(file,))
    await asked
    return made.id


async def test_an_output_file_is_a_link_that_needs_nothing(world: World) -> None:
    prediction_id = await painted(world)
    link = (await world.get(f"/v1/predictions/{prediction_id}")).json()["output"]
    assert link.startswith(f"{ROOT}/d/")
    assert link.endswith("/a%20b.png")
    for token in (None, "r8_unrelated", world.other_token):
        reply = await world.get(link.removeprefix(ROOT), token=token)
        assert (reply.status, reply.body[:8]) == (200, PNG[:8])
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["content-length"] == "98"
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["cache-control"].startswith("private, max-age=")
    head = await world.request("HEAD", link.removeprefix(ROOT), token=None)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "98")
    known = await world.get(link.removeprefix(ROOT), headers={"If-None-Match": reply.headers["etag"]})
    assert (known.status, known.body) == (304, b"")
    beyond = await world.get(link.removeprefix(ROOT), headers={"Range": "bytes=500-"})
    assert (beyond.status, beyond.body, beyond.headers["content-range"]) == (416, b"", "bytes */98")
    options = await world.request("OPTIONS", link.removeprefix(ROOT), token=None)
    assert options.status == 204


async def test_output_links_can_be_made_to_need_a_key() -> None:
    world = await World(quirks=QuirkSettings(output_links_need_key=True)).fill()
    shown = (await world.get(f"/v1/predictions/{await painted(world)}")).json()
    link, forged = shown["output"].removeprefix(ROOT), "/d/x/a.png"
    writer, _ = await world.keys.issue("alice", "cannot read", frozenset({Scope.WRITE}))
    for _ in range(2):  # what one may read is not kept for another
        mine = await world.get(link)
        assert (mine.body[:8], mine.headers["cache-control"]) == (PNG[:8], "private, no-cache")
        known = {"If-None-Match": mine.headers["etag"]}
        assert [(await world.get(link, token=token, headers=known)).status for token in (world.token, None)] == [
            304,
            401,
        ]
        assert (await world.get(link, token=None)).status == 401
        assert (await world.get(link, token="r8_unrelated")).status == 401
        assert (await world.get(link, token=writer)).status == 403
        assert (await world.get(link, token=world.other_token)).status == 404
    assert (await world.request("HEAD", link, token=None)).status == 401
    assert (await world.request("OPTIONS", link, token=None)).status == 204
    assert [(await world.get(forged, token=token)).status for token in (None, world.token)] == [401, 404]
    page = await world.get(shown["urls"]["web"].removeprefix(ROOT), token=None)
    assert (page.status, b"<img" in page.body, b"/d/" in page.body) == (200, False, True)
    described = (await world.get("/v1/openapi.json")).json()["paths"]["/d/{capability}/{file_name}"]["get"]
    assert described["security"] == [{"key": []}]


async def test_links_end_and_are_renewed(world: World) -> None:
    prediction_id = await painted(world)
    link = (await world.get(f"/v1/predictions/{prediction_id}")).json()["output"].removeprefix(ROOT)
    world.clock.advance(86_401)
    assert (await world.get(link)).status == 404
    fresh = (await world.get(f"/v1/predictions/{prediction_id}")).json()["output"].removeprefix(ROOT)
    assert (await world.get(fresh)).status == 200


async def test_links_never_outlive_the_data() -> None:
    world = await World(retention=RetentionSettings(api="1h")).fill()
    prediction_id = await painted(world)
    link = (await world.get(f"/v1/predictions/{prediction_id}")).json()["output"].removeprefix(ROOT)
    assert int((await world.get(link)).headers["cache-control"].rpartition("=")[2]) <= 3600
    world.clock.advance(3601)
    assert (await world.get(link)).status == 404


async def test_forged_links_are_404(world: World) -> None:
    prediction_id = await painted(world)
    link = (await world.get(f"/v1/predictions/{prediction_id}")).json()["output"].removeprefix(ROOT)
    _, _, capability, name = link.split("/")
    pieces = capability.split("-", 3)
    for wrong in ("x", "-".join([pieces[0], "1", *pieces[2:]]), "-".join([*pieces[:2], "zzzzzz", pieces[3]]), ".."):
        assert (await world.get(f"/d/{wrong}/{name}")).status == 404
    assert (await world.get(f"/d/{capability}/any%2Fother%0Aname")).status == 200


async def test_another_predictions_ref_is_text(world: World) -> None:
    theirs = await painted(world)
    ref = (await world.row(theirs)).files[0].ref
    made = await world.create("acme/free")
    await world.run(made["id"], {"stolen": ref})
    assert (await world.get(f"/v1/predictions/{made['id']}")).json()["output"] == {"stolen": ref}


async def test_refs_are_replaced_anywhere_in_the_output(world: World) -> None:
    made = await world.create("acme/free")
    file = await world.keep(made["id"], 0, "x.png", PNG, "image/png")
    await world.run(made["id"], {"a": [file.ref, "text", 1.5], file.ref: {"b": file.ref + "x"}}, files=(file,))
    output = (await world.get(f"/v1/predictions/{made['id']}")).json()["output"]
    assert output["a"][0].startswith(f"{ROOT}/d/")
    assert output["a"][1:] == ["text", 1.5]
    assert output[file.ref] == {"b": file.ref + "x"}


async def test_hostile_outputs_are_downloads(world: World) -> None:
    prediction_id = await painted(world, kind="text/html", name='x".html')
    link = (await world.get(f"/v1/predictions/{prediction_id}")).json()["output"].removeprefix(ROOT)
    reply = await world.get(link)
    assert reply.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"


# data: URLs over plain http ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("replicate-python/1.0.7", "data:"),
        ("Replicate/Python 2.0.0-beta.4", "data:"),
        ("replicate-javascript/1.4.0", "data:"),
        ("replicate-go/0.26", "http:"),
        ("curl/8", "http:"),
        ("", "http:"),
    ],
)
async def test_run_gets_data_urls_over_plain_http(world: World, agent: str, expected: str) -> None:
    prediction_id = await painted(world, wait=True)
    shown = (await world.get(f"/v1/predictions/{prediction_id}", headers={"User-Agent": agent})).json()
    assert shown["output"].startswith(expected)
    if expected == "data:":
        data = (PNG + b"\0" * 98)[:98]
        assert shown["output"] == "data:image/png;base64," + b64encode(data).decode()
    listed = (await world.get("/v1/predictions", headers={"User-Agent": agent})).json()
    assert listed["results"][0]["output"].startswith("http:")


async def test_data_urls_need_a_wait_and_small_files_and_no_tls(world: World) -> None:
    without = await painted(world)
    assert (await world.get(f"/v1/predictions/{without}", headers=PY1)).json()["output"].startswith("http:")
    large = await painted(world, wait=True, size=256_001)
    assert (await world.get(f"/v1/predictions/{large}", headers=PY1)).json()["output"].startswith("http:")
    small = await painted(world, wait=True)
    tls = await world.get(f"/v1/predictions/{small}", headers=PY1, scope_extra={"scheme": "https"})
    assert tls.json()["output"].startswith("https:")
    off = await World(quirks=QuirkSettings(data_urls=False)).fill()
    other = await painted(off, wait=True)
    assert (await off.get(f"/v1/predictions/{other}", headers=PY1)).json()["output"].startswith("http:")


async def test_an_answer_holds_no_more_data_than_its_limit(world: World) -> None:
    import asyncio

    from api.world import settled

    asked = asyncio.ensure_future(
        world.post("/v1/predictions", {"version": "acme/frames"}, headers={"Prefer": "wait", **PY1})
    )
    await settled()
    made = (await world.store.page((await world.keys.verify(world.token)).account.id, limit=1)).items[0]
    files = tuple([await world.keep(made.id, n, f"{n}.png", b"%d" % n + b"x" * 240_000, "image/png") for n in range(8)])
    await world.run(made.id, [file.ref for file in files], files=files)
    reply = await asked
    kinds = [link.partition(":")[0] for link in reply.json()["output"]]
    assert kinds == ["data"] * 6 + ["http"] * 2
    assert len(reply.body) < 2_010_000


# after removal ----------------------------------------------------------------------------------------------------


async def test_removed_data_is_absent_everywhere(world: World) -> None:
    import msgspec

    prediction_id = await painted(world)
    before = (await world.get(f"/v1/predictions/{prediction_id}")).json()
    entry = world.store._entries[prediction_id]
    entry.prediction = msgspec.structs.replace(
        entry.prediction, data_removed_at=world.clock.now(), revision=entry.prediction.revision + 1
    )
    world.changed(prediction_id)
    shown = (await world.get(f"/v1/predictions/{prediction_id}")).json()
    assert (shown["data_removed"], shown["output"], shown["input"], shown["logs"]) == (True, None, {}, "")
    assert shown["metrics"] == before["metrics"]
    assert shown["urls"] == before["urls"]
    assert (await world.get(before["output"].removeprefix(ROOT))).status == 404
    assert (await world.get(before["urls"]["stream"].removeprefix(ROOT))).status == 404
