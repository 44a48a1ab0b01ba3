"""The files of an output by key, pictures that carry their input, and the history of a prediction."""

import msgspec

from api.world import World
from halley.assets.embedding import PICTURE_BYTES, extract
from pictures import png


async def ran(world: World, *, count: int = 1, kind: str = "image/png", data: bytes = b"") -> str:
    """A prediction with so many files; its id."""
    made = await world.create("acme/free")
    await world.start(made["id"])
    files = [await world.keep(made["id"], index, f"out {index}.png", data or png(), kind) for index in range(count)]
    await world.output(made["id"], [file.ref for file in files], files=tuple(files))
    await world.finish(made["id"])
    return str(made["id"])


async def test_the_files_are_listed_in_pages(world: World) -> None:
    made = await ran(world, count=5)
    first = (await world.get(f"/v1/predictions/{made}/files?limit=3")).json()
    assert [one["index"] for one in first["results"]] == [0, 1, 2]
    shown = first["results"][0]
    assert set(shown) == {
        "index", "name", "content_type", "size", "checksums", "url", "url_expires_at", "kept_until",
    }  # fmt: skip
    assert (shown["name"], shown["content_type"], shown["size"]) == ("out 0.png", "image/png", len(png()))
    link = shown["url"].removeprefix("http://localhost:1986")
    assert (await world.get(link, token=None)).body == png()
    second = (await world.get(first["next"].removeprefix("http://localhost:1986"))).json()
    assert [one["index"] for one in second["results"]] == [3, 4]
    assert second["next"] is None
    assert (await world.get(f"/v1/predictions/{made}/files?after=99")).json()["results"] == []


async def test_a_file_is_given_to_its_account_only(world: World) -> None:
    made = await ran(world)
    own = await world.get(f"/v1/predictions/{made}/files/0")
    assert (own.status, own.body, own.headers["cache-control"]) == (200, png(), "private, no-cache")
    part = await world.get(f"/v1/predictions/{made}/files/0", headers={"range": "bytes=1-3"})
    assert (part.status, part.body) == (206, b"PNG")
    for path in (f"/v1/predictions/{made}/files", f"/v1/predictions/{made}/files/0"):
        assert (await world.get(path, token=world.other_token)).status == 404
        assert (await world.get(path, token=None)).status == 401
    for number in ("1", "-1", "00", "x", "%00"):
        assert (await world.get(f"/v1/predictions/{made}/files/{number}")).status == 404
    await world.request("DELETE", f"/v1/predictions/{made}/data")
    assert (await world.get(f"/v1/predictions/{made}/files")).json()["results"] == []
    assert (await world.get(f"/v1/predictions/{made}/files/0?embed=input")).status == 404


async def test_a_picture_carries_its_input_only_if_asked(world: World) -> None:
    made = await ran(world)
    reply = await world.get(f"/v1/predictions/{made}/files/0?embed=input")
    assert reply.status == 200
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["content-disposition"].startswith("attachment")
    assert "etag" not in reply.headers
    note = extract(reply.body)
    assert note is not None
    assert (note.model, note.prediction, msgspec.json.decode(note.input)) == ("acme/free", made, {"prompt": "hi"})
    assert extract((await world.get(f"/v1/predictions/{made}/files/0")).body) is None
    assert (await world.get(f"/v1/predictions/{made}/files/0?embed=all")).status == 422


async def test_what_is_no_picture_cannot_carry_an_input(world: World) -> None:
    text = await ran(world, kind="text/plain", data=b"hello")
    refused = await world.get(f"/v1/predictions/{text}/files/0?embed=input")
    assert refused.status == 422
    assert "only PNG, WebP and JPEG" in refused.json()["detail"]
    broken = await ran(world, data=b"\x89PNG\r\n\x1a\n")
    assert (await world.get(f"/v1/predictions/{broken}/files/0?embed=input")).status == 422
    large = await ran(world, data=b"x" * (PICTURE_BYTES + 1))
    assert (await world.get(f"/v1/predictions/{large}/files/0?embed=input")).status == 413


async def test_the_history_leaves_out_what_was_printed_and_put_out(world: World) -> None:
    made = await world.create("acme/free")
    await world.start(made["id"])
    for number in range(30):
        await world.log(made["id"], f"line {number}")
    await world.output(made["id"], "text")
    await world.finish(made["id"])
    base = f"/v1/predictions/{made['id']}/events"
    whole = (await world.get(f"{base}?only=history")).json()
    assert [one["data"]["status"] for one in whole["results"]] == ["starting", "processing", "succeeded"]
    assert whole["next"] is None
    first = (await world.get(f"{base}?only=history&limit=2")).json()
    assert "only=history" in first["next"]
    second = (await world.get(first["next"].removeprefix("http://localhost:1986"))).json()
    assert first["results"] + second["results"] == whole["results"]
    assert (await world.get(f"{base}?only=all")).status == 422
