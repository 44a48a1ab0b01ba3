"""Links in an input become local files: whose, from where, and what is refused."""

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.assets.blob_references import BlobReferences
from halley.assets.inputs import InputFileStager, StagedInput, StagingRules
from halley.assets.links import FileLink, LinkSigner, check_download, download_signature, own_link
from halley.assets.own_inputs import OwnInputs
from halley.assets.own_links import OwnFiles
from halley.assets.ports import BlobInfo, StoredFile
from halley.blobs.files import FileBlobs
from halley.blobs.memory import MemoryBlobs
from halley.errors import AddressRefused, FetchFailed, HalleyError, InputInvalid, NotFound, StorageFull, TooLarge
from halley.predictions.records import OutputFile
from halley.store.memory.files import MemoryFiles
from halley.testing.blobs import InspectableLedger, stream
from halley.testing.clock import FakeClock
from halley.testing.files import FakeFetch

pytestmark = pytest.mark.anyio

URI = {"type": "string", "format": "uri"}
SCHEMA = msgspec.json.encode(
    {
        "components": {
            "schemas": {
                "Input": {
                    "properties": {
                        "image": URI,
                        "mask": URI,
                        "images": {"type": "array", "items": URI},
                        "prompt": {"type": "string"},
                        "scenes": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": {"layers": {"type": "object", "additionalProperties": URI}},
                            },
                        },
                    }
                }
            }
        }
    }
)
NO_FILES = msgspec.json.encode({"components": {"schemas": {"Input": {"properties": {"prompt": {"type": "string"}}}}}})
ID = "01jb3kt7vfx9n8m2c4d6e8f0gh"
FILE_ID = "01jb3kt7vfx9n8m2c4d6e8f0gj"


class Outputs:
    """The output files of one prediction, which is the account `me`'s."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, int], OutputFile] = {}

    async def output_file(self, prediction_id: str, index: int, *, account_id: str | None = None) -> OutputFile | None:
        return self.files.get((prediction_id, index)) if account_id in (None, "me") else None


class Bench:
    """A stager with everything around it."""

    def __init__(self, folder: Path, blobs: MemoryBlobs | FileBlobs, *, links_need_account: bool = False) -> None:
        self.clock = FakeClock()
        self.blobs = blobs
        self.fetch = FakeFetch()
        self.files = MemoryFiles()
        self.outputs = Outputs()
        self.ledger = InspectableLedger()
        self.blob_references = BlobReferences(blobs=blobs, ledger=self.ledger)
        self.links = LinkSigner(b"k" * 32, self.clock)
        self.folder = folder
        self.runs = 0
        self.stager = InputFileStager(
            fetch=self.fetch,
            own=OwnFiles(links=self.links, files=self.files, outputs=self.outputs, download_secret=b"files-secret"),
            blobs=blobs,
            blob_references=self.blob_references,
            clock=self.clock,
            rules=StagingRules(
                inline_limit_bytes=1000,
                fetch_limit_bytes=2000,
                fetch_seconds=10,
                links_need_account=links_need_account,
            ),
        )

    async def stage(self, account_id: str = "me", **value: Any) -> StagedInput:
        self.runs += 1
        return await self.stager.stage(
            prediction_id="p" * 26,
            version="v",
            openapi_schema=SCHEMA,
            account_id=account_id,
            work_input=msgspec.json.encode(value),
            folder=self.folder / str(self.runs),
        )

    async def staged(self, **value: Any) -> dict[str, Any]:
        """Stage, and read the files back: each path becomes (name, bytes)."""
        staged = await self.stage(**value)
        found: dict[str, Any] = msgspec.json.decode(staged.input)
        for pointer in staged.paths:
            holder = found
            for step in pointer[:-1]:
                holder = holder[step]  # type: ignore[index]
            path = Path(holder[pointer[-1]])  # type: ignore[index]
            assert path.is_relative_to(self.folder)
            holder[pointer[-1]] = (path.name, path.read_bytes())  # type: ignore[index]
        return found

    async def store(self, data: bytes) -> BlobInfo:
        return await self.blobs.put(stream(data), len(data))

    async def output_link(self, data: bytes, name: str) -> str:
        info = await self.store(data)
        self.outputs.files[ID, 0] = OutputFile(
            ref="asset:x", index=0, name=name, sha256=info.sha256, size_bytes=info.size_bytes, content_type="image/png"
        )
        return f"http://127.0.0.1:1986{self.links.delivery_path(ID, 0, name)}"

    async def upload(self, account_id: str, data: bytes = b"mine", name: str = "mine.txt") -> None:
        info = await self.store(data)
        await self.files.insert(
            StoredFile(
                id=FILE_ID,
                account_id=account_id,
                name=name,
                content_type="text/plain",
                size_bytes=info.size_bytes,
                sha256=info.sha256,
                created_at=self.clock.now(),
                expires_at=self.clock.now().replace(year=2030),
            )
        )


@pytest.fixture(params=["files", "memory"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    blobs = FileBlobs(tmp_path / "blobs") if request.param == "files" else MemoryBlobs()
    (tmp_path / "run").mkdir()
    return Bench(tmp_path / "run", blobs)


async def fault(bench: Bench, **value: Any) -> str:
    with pytest.raises(InputInvalid) as caught:
        await bench.stage(**value)
    return f"{caught.value.fields[0].field}: {caught.value.fields[0].description}"


async def test_an_input_without_files_passes_unchanged(bench: Bench) -> None:
    assert not bench.stager.has_files("other", NO_FILES)
    assert bench.stager.has_files("v", SCHEMA)
    raw = b'{"prompt": "https://x.example/a.png",  "image": null}'
    staged = await bench.stager.stage(
        prediction_id="p" * 26,
        version="v",
        openapi_schema=SCHEMA,
        account_id="me",
        work_input=raw,
        folder=bench.folder,
    )
    assert staged == StagedInput(input=raw)
    assert list(bench.folder.iterdir()) == []


async def test_a_data_url_becomes_a_file_with_the_right_extension(bench: Bench) -> None:
    body = base64.b64encode(b"picture").decode()
    assert await bench.staged(image=f"data:image/png;base64,{body}", prompt="p") == {
        "image": ("image.png", b"picture"),
        "prompt": "p",
    }


@pytest.mark.parametrize("need", [False, True])
async def test_an_output_link_of_another_account(tmp_path: Path, *, need: bool) -> None:
    bench = Bench(tmp_path, MemoryBlobs(), links_need_account=need)
    link = await bench.output_link(b"picture", "a.png")
    assert (await bench.staged(image=link))["image"] == ("a.png", b"picture")
    own = bench.stager.links("v", SCHEMA, {"image": link})
    assert len(await bench.stager.own_files(own, "me")) == 1
    if need:
        with pytest.raises(InputInvalid, match=r"input\.image: file 0 .* or belongs to another account"):
            await bench.stage("other", image=link)
        assert await bench.stager.own_files(own, "other") == ()
    else:
        assert len((await bench.stage("other", image=link)).paths) == 1
        assert len(await bench.stager.own_files(own, "other")) == 1


async def test_a_nameless_upload_gets_the_extension_of_its_type(bench: Bench) -> None:
    await bench.upload("me", name="upload")
    found = await bench.staged(image=f"http://127.0.0.1:1986/v1/files/{FILE_ID}")
    assert found == {"image": ("upload.txt", b"mine")}


async def test_a_very_long_name_still_fits_the_disk(bench: Bench) -> None:
    body = base64.b64encode(b"picture").decode()
    found = await bench.staged(images=[f"data:image/png;name={'n' * 300};base64,{body}"] * 2)
    assert [len(name) <= 255 and name.endswith(".png") for name, _ in found["images"]] == [True, True]


async def test_names_stay_true_and_distinct(bench: Bench) -> None:
    bench.fetch.behind["https://a.example/cat.png"] = b"1"
    bench.fetch.behind["https://b.example/cat.png"] = b"2"
    bench.fetch.behind["https://c.example/cat"] = (b"3", "image/webp")
    found = await bench.staged(
        images=["https://a.example/cat.png", "https://b.example/cat.png", "https://c.example/cat"]
    )
    assert [data for _, data in found["images"]] == [b"1", b"2", b"3"]
    assert sorted(name for name, _ in found["images"]) == ["cat-2.png", "cat.png", "cat.webp"]


async def test_an_output_of_this_server_is_taken_without_the_network_under_any_origin(bench: Bench) -> None:
    link = await bench.output_link(b"made here", "out.png")
    assert await bench.staged(image=link) == {"image": ("out.png", b"made here")}
    other_origin = link.replace("http://127.0.0.1:1986", "https://proxy.example")
    assert await bench.staged(account_id="somebody else", image=other_origin, mask=link) == {
        "image": ("out.png", b"made here"),
        "mask": ("out-2.png", b"made here"),
    }
    assert bench.fetch.asked == []


async def test_a_model_that_writes_to_its_input_does_not_change_what_is_stored(bench: Bench) -> None:
    link = await bench.output_link(b"made here", "out.png")
    staged = await bench.stage(image=link)
    Path(msgspec.json.decode(staged.input)["image"]).write_bytes(b"painted over")
    assert await bench.staged(mask=link) == {"mask": ("out.png", b"made here")}


async def test_an_expired_or_removed_output_is_reported(bench: Bench) -> None:
    link = await bench.output_link(b"made here", "out.png")
    bench.outputs.files.clear()
    assert "is no longer stored" in await fault(bench, image=link)
    bench.clock.advance(2 * 86_400)
    assert "input.image: This link is not valid or has expired" in await fault(bench, image=link)
    assert bench.fetch.asked == []


async def test_a_foreign_url_in_the_form_of_ours_is_fetched_like_any_other(bench: Bench) -> None:
    foreign = LinkSigner(b"x" * 32, bench.clock)
    url = f"https://other.example{foreign.delivery_path(ID, 0, 'a.png')}"
    bench.fetch.behind[url] = b"theirs"
    assert await bench.staged(image=url) == {"image": ("a.png", b"theirs")}
    elsewhere = f"https://other.example/v1/files/{FILE_ID}"
    bench.fetch.behind[elsewhere] = b"theirs too"
    assert (await bench.staged(image=elsewhere))["image"][1] == b"theirs too"


async def test_an_own_upload_is_taken_under_every_spelling(bench: Bench) -> None:
    await bench.upload("me")
    for prefix in ("", "/v1", "/replicate/v1/v1"):
        url = f"http://127.0.0.1:1986{prefix}/files/{FILE_ID}"
        assert await bench.staged(image=url) == {"image": ("mine.txt", b"mine")}
    assert bench.fetch.asked == []


async def test_a_foreign_upload_is_absent_unless_its_link_is_signed(bench: Bench) -> None:
    await bench.upload("somebody else")
    url = f"http://127.0.0.1:1986/v1/files/{FILE_ID}"
    assert "does not exist" in await fault(bench, image=url)
    expiry = int(bench.clock.now().timestamp()) + 60
    signature = download_signature(b"files-secret", owner="acme", file_id=FILE_ID, expiry=expiry)
    signed = f"{url}/download?expiry={expiry}&owner=acme&signature={signature.replace('+', '%2B')}"
    assert (await bench.staged(image=signed))["image"] == ("mine.txt", b"mine")
    assert "is not valid" in await fault(bench, image=signed.replace("owner=acme", "owner=me"))


async def test_an_expired_or_deleted_upload_is_absent(bench: Bench) -> None:
    url = f"http://127.0.0.1:1986/v1/files/{FILE_ID}"
    assert f"input.image: the file {FILE_ID} does not exist" in await fault(bench, image=url)
    await bench.upload("me")
    bench.clock.advance(10 * 365 * 86_400)
    assert "does not exist, was removed, or belongs" in await fault(bench, image=url)


async def test_files_inside_models_and_dicts_are_brought_and_named_after_their_member(bench: Bench) -> None:
    bench.fetch.behind["https://a.example/sky.png"] = b"sky"
    scenes = [{"layers": {}}, {"layers": {"back": "https://a.example/sky.png", "front": "data:,text"}}]
    found = await bench.staged(scenes=scenes, prompt="https://a.example/sky.png")
    assert found == {
        "scenes": [{"layers": {}}, {"layers": {"back": ("sky.png", b"sky"), "front": ("front.txt", b"text")}}],
        "prompt": "https://a.example/sky.png",
    }
    scenes[1]["layers"]["front"] = "/etc/passwd"
    assert (await fault(bench, scenes=scenes)).startswith("input.scenes.1.layers.front: ")


@pytest.mark.parametrize("value", ["/etc/passwd", "cat.png", "", "file:///etc/passwd", "ftp://x/y", "x" * 500])
async def test_what_is_no_link_is_refused_by_name(bench: Bench, value: str) -> None:
    assert (await fault(bench, images=[value])).startswith("input.images.0: ")
    assert "pass an http(s) URL" in await fault(bench, image=value)
    assert len(await fault(bench, image=value)) < 300


async def test_a_malformed_data_url_is_a_fault_of_the_input(bench: Bench) -> None:
    assert await fault(bench, image="data:image/png;base64,A") == "input.image: the data: URL is not valid base64"


@pytest.mark.parametrize(
    "error", [AddressRefused("no"), FetchFailed("dead"), TooLarge("big"), StorageFull("no room left")]
)
async def test_the_reason_why_a_url_cannot_be_had_keeps_its_kind_and_gets_its_name(
    bench: Bench, error: HalleyError
) -> None:
    bench.fetch.behind["https://a.example/x"] = error
    with pytest.raises(type(error)) as caught:
        await bench.stage(image="https://a.example/x")
    assert str(caught.value) in (f"input.image: {error}", "no room left")


async def test_too_much_inline_or_fetched_is_refused(bench: Bench) -> None:
    with pytest.raises(TooLarge, match=r"input\.image: the data: URL holds more than 1000 bytes"):
        await bench.stage(image=f"data:,{'x' * 1001}")
    bench.fetch.behind["https://a.example/x"] = b"x" * 2001
    with pytest.raises(TooLarge, match=r"input\.mask: .* limit of 2000 bytes"):
        await bench.stage(mask="https://a.example/x")


async def test_a_url_inside_is_refused_before_anything_is_asked(bench: Bench) -> None:
    with pytest.raises(AddressRefused, match=r"input\.image: .*loopback"):
        await bench.stage(image="http://127.0.0.1:8080/secret")
    assert bench.fetch.asked == []


async def test_one_bad_link_among_many_fails_the_whole(bench: Bench) -> None:
    urls = [f"https://a.example/{number}.png" for number in range(10)]
    for url in urls[:9]:
        bench.fetch.behind[url] = b"x"
    with pytest.raises(FetchFailed, match=r"input\.images\.9: "):
        await bench.stage(images=urls)


async def held(bench: Bench, account_id: str = "me", **value: Any) -> list[str]:
    """Hold what can be held for the prediction that `stage` stages, and name it."""
    files = await bench.stager.own_files(bench.stager.links("v", SCHEMA, value), account_id)
    for file in files:
        await bench.ledger.add_reference(file.sha256, 9, "input", "p" * 26, file.name)
    return [msgspec.json.decode(file.name)["of"] for file in files]


async def test_a_held_file_can_be_staged_after_its_removal(bench: Bench) -> None:
    link = await bench.output_link(b"picture", "a.png")
    await bench.upload("me")
    url = f"http://127.0.0.1:1986/v1/files/{FILE_ID}"
    assert await held(bench, image=link, images=[url, url]) == [f"output/{ID}/0", f"upload/{FILE_ID}"]
    bench.outputs.files.clear()  # its data was removed
    await bench.files.delete(FILE_ID)
    bench.clock.advance(10 * 86_400)  # and the link would have ended
    staged = await bench.staged(image=link, images=[url])
    assert staged == {"image": ("a.png", b"picture"), "images": [("mine.txt", b"mine")]}
    assert bench.fetch.asked == []


async def test_what_an_account_may_not_use_is_not_held(bench: Bench) -> None:
    await bench.upload("you")
    assert await held(bench, image=f"http://127.0.0.1:1986/v1/files/{FILE_ID}") == []


async def test_an_ended_or_upstream_prediction_is_not_held(bench: Bench) -> None:
    link = await bench.output_link(b"picture", "a.png")
    await bench.upload("me")
    bench.clock.advance(10 * 365 * 86_400)
    values = [link, f"http://127.0.0.1:1986/v1/files/{FILE_ID}", "https://a.example/b.png", "data:,text", "x://["]
    for value in values:
        assert await held(bench, image=value) == []
    assert await held(bench, prompt=link) == [], "in no position of a file it is text"


async def test_own_files_are_read_for_a_service_elsewhere(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MemoryBlobs())
    own = OwnInputs(bench.stager.own, blobs=bench.blobs, blob_references=bench.blob_references)
    link = await bench.output_link(b"picture", "a.png")
    await bench.upload("me")
    upload = f"https://other.name/v1/files/{FILE_ID}"

    async def find(text: str, account_id: str = "me") -> bytes | None:
        file = await own.find(text, prediction_id="p" * 26, account_id=account_id)
        return None if file is None else await own.read(file, 100)

    assert await find(link) == b"picture"
    assert await find(upload) == b"mine"
    for text in ("https://example.com/a.png", link.replace("/d/0", "/d/1"), "a text", "data:,x"):
        assert await find(text) is None
    with pytest.raises(NotFound):
        await find(upload, "another")
    file = await own.find(link, prediction_id="p" * 26, account_id="me")
    assert file is not None
    with pytest.raises(TooLarge):
        await own.read(file, 6)


async def test_links_for_a_service_need_no_key_and_live_long_enough(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MemoryBlobs())
    own = OwnInputs(bench.stager.own, blobs=bench.blobs, blob_references=bench.blob_references)
    link = await bench.output_link(b"picture", "a b.png")
    await bench.upload("me")
    upload = f"https://other.name/v1/files/{FILE_ID}"

    async def path(text: str, at: OwnInputs = own) -> str | None:
        file = await at.find(text, prediction_id="p" * 26, account_id="me")
        assert file is not None
        return await at.public_path(file)

    found = await path(link)
    assert found is not None
    assert found == link.removeprefix("http://127.0.0.1:1986")
    right = bench.links.verify(found.split("/")[2])
    signed = own_link(f"https://public.example{await path(upload)}")
    assert isinstance(signed, FileLink)
    assert signed.signature is not None
    check_download(
        b"files-secret",
        owner=signed.owner or "",
        file_id=FILE_ID,
        expiry=signed.expiry or 0,
        signature=signed.signature,
        now=bench.clock.now() + timedelta(hours=1),
    )
    bench.clock.advance(right.expires_at - bench.clock.now().timestamp() - 1800)
    assert await path(link) is None
    strict = Bench(tmp_path, MemoryBlobs(), links_need_account=True)
    private = OwnInputs(strict.stager.own, blobs=strict.blobs, blob_references=strict.blob_references)
    assert await path(await strict.output_link(b"picture", "a.png"), private) is None
