"""Files of an output are stored before anybody hears of them; what may not be read is not."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.assets.blob_references import BlobReferences
from halley.assets.output_links import OutputLinks
from halley.assets.outputs import OutputFileStore, StoredOutput
from halley.assets.positions import Pointer
from halley.blobs.files import FileBlobs
from halley.blobs.memory import MemoryBlobs
from halley.clock import SystemClock
from halley.errors import AddressRefused, FetchFailed, Forbidden, HalleyError, NotFound, Refused, StorageFull, TooLarge
from halley.testing.blobs import FullBlobs, InspectableLedger, read_all
from halley.testing.files import FakeFetch

pytestmark = pytest.mark.anyio
ID = "01jb3kt7vfx9n8m2c4d6e8f0gh"
PNG = b"\x89PNG\r\n\x1a\nrest"


class Bench:
    """A keeper, a run folder, and a place outside."""

    def __init__(self, root: Path) -> None:
        self.run, self.outside = root / "run", root / "outside"
        for folder in (self.run, self.outside):
            folder.mkdir()
        self.blobs = FullBlobs(MemoryBlobs())
        self.ledger = InspectableLedger()
        blob_references = BlobReferences(blobs=self.blobs, ledger=self.ledger)
        self.keeper = OutputFileStore(blob_references=blob_references, limit_bytes=1000)

    async def keep(self, value: Any, *pointers: Pointer, first_index: int = 0) -> StoredOutput:
        return await self.keeper.keep(
            prediction_id=ID,
            first_index=first_index,
            value=msgspec.json.encode(value),
            paths=pointers,
            folder=self.run,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path.resolve())


async def test_a_file_becomes_a_ref_and_is_stored(bench: Bench) -> None:
    (bench.run / "out 1.png").write_bytes(PNG)
    kept = await bench.keep(str(bench.run / "out 1.png"), ())
    (file,) = kept.files
    assert msgspec.json.decode(kept.value) == file.ref == f"asset:{ID}/0/out 1.png"
    assert (file.index, file.name, file.size_bytes, file.content_type) == (0, "out 1.png", len(PNG), "image/png")
    assert await read_all(bench.blobs, file.sha256) == PNG
    assert bench.ledger.noted(file.sha256) == [("prediction", ID, "out 1.png")]


async def test_only_what_the_pointers_name_is_a_file(bench: Bench) -> None:
    (bench.run / "a").write_bytes(b"a")
    (bench.run / "b.txt").write_bytes(b"b")
    text = str(bench.run / "a")
    value = {"text": text, "files": [text, "not one", "b.txt"], "link": "https://x.example/a.png"}
    kept = await bench.keep(value, ("files", 0), ("files", "2"), first_index=7)
    assert msgspec.json.decode(kept.value) == {
        "text": text,
        "files": [f"asset:{ID}/7/a", "not one", f"asset:{ID}/8/b.txt"],
        "link": "https://x.example/a.png",
    }
    assert [file.index for file in kept.files] == [7, 8]


async def test_an_output_without_files_passes_unchanged(bench: Bench) -> None:
    raw = b'{"a":  1e400}'
    kept = await bench.keeper.keep(prediction_id=ID, first_index=0, value=raw, paths=(), folder=None)
    assert kept == StoredOutput(value=raw, files=())


async def test_a_file_of_the_same_name_later_is_another_file(bench: Bench) -> None:
    (bench.run / "out.txt").write_bytes(b"first")
    first = await bench.keep("out.txt", ())
    (bench.run / "out.txt").write_bytes(b"second")
    second = await bench.keep("out.txt", (), first_index=1)
    assert await read_all(bench.blobs, first.files[0].sha256) == b"first"
    assert await read_all(bench.blobs, second.files[0].sha256) == b"second"


async def test_a_copy_of_the_runner_is_taken_and_a_file_of_the_model_is_copied(tmp_path: Path) -> None:
    run = tmp_path.resolve() / "run"
    (run / "outputs" / "1").mkdir(parents=True)
    (run / "outputs" / "1" / "a.txt").write_bytes(b"a")
    (run / "b.txt").write_bytes(b"b")
    blobs = FileBlobs(tmp_path / "blobs")
    keeper = OutputFileStore(blob_references=BlobReferences(blobs=blobs, ledger=InspectableLedger()))
    kept = await keeper.keep(
        prediction_id=ID, first_index=0, value=b'["outputs/1/a.txt","b.txt"]', paths=[(0,), (1,)], folder=run
    )
    taken, copied = (blobs.path(file.sha256) for file in kept.files)
    assert taken is not None
    assert taken.samefile(run / "outputs" / "1" / "a.txt")
    assert copied is not None
    assert not copied.samefile(run / "b.txt")


@pytest.mark.parametrize(
    "named", ["file", "own", "folder/secret.txt", "sub/up/../outside/secret.txt", "../outside/secret.txt", "", "."]
)
async def test_nothing_outside_is_taken_and_no_link_is_followed(bench: Bench, named: str) -> None:
    (bench.outside / "secret.txt").write_bytes(b"secret")
    (bench.run / "real.txt").write_bytes(b"real")
    (bench.run / "own").symlink_to(bench.run / "real.txt")
    (bench.run / "file").symlink_to(bench.outside / "secret.txt")
    (bench.run / "folder").symlink_to(bench.outside)
    (bench.run / "sub").mkdir()
    (bench.run / "sub" / "up").symlink_to(bench.outside)
    for text in (named, str(bench.run / named)):
        with pytest.raises((Forbidden, Refused), match="The model returned"):
            await bench.keep(text, ())
    assert await bench.ledger.unreferenced(10) == []


async def test_a_file_without_a_run_folder_is_refused(bench: Bench) -> None:
    (bench.outside / "a").write_bytes(b"a")
    value = msgspec.json.encode(str(bench.outside / "a"))
    with pytest.raises(Forbidden, match="not in the folder of this prediction"):
        await bench.keeper.keep(prediction_id=ID, first_index=0, value=value, paths=[()], folder=None)


async def test_what_was_opened_is_kept_though_another_file_takes_its_name(bench: Bench, monkeypatch: Any) -> None:
    (bench.outside / "secret.txt").write_bytes(b"secret")
    named = bench.run / "out.txt"
    named.write_bytes(b"honest")
    keep_file = BlobReferences.keep_file

    async def late(self: BlobReferences, path: Path, **options: Any) -> Any:
        named.unlink()
        named.symlink_to(bench.outside / "secret.txt")
        return await keep_file(self, path, **options)

    monkeypatch.setattr(BlobReferences, "keep_file", late)
    (file,) = (await bench.keep("out.txt", ())).files
    assert await read_all(bench.blobs, file.sha256) == b"honest"


@pytest.mark.parametrize(
    "path", ["/proc/self/environ", "/proc/1/../self/environ", "/dev/zero", "/dev/null", "/sys/kernel/mm"]
)
async def test_files_of_the_system_are_never_given_out(bench: Bench, path: str) -> None:
    with pytest.raises(HalleyError):
        await bench.keep(path, ())
    (bench.run / "link").symlink_to(path)
    with pytest.raises(HalleyError):
        await bench.keep("link", ())


async def test_a_missing_file_is_reported_by_name(bench: Bench) -> None:
    with pytest.raises(NotFound, match=r"'.*/absent\.png', but it does not exist"):
        await bench.keep(str(bench.run / "absent.png"), ())


@pytest.mark.parametrize("named", ["sub", "loop", "a\x00b", "sub/x/y", "x" * 5000, "\udcff"])
async def test_an_unreadable_file_is_reported_without_a_crash(bench: Bench, named: str) -> None:
    (bench.run / "sub").mkdir()
    (bench.run / "sub" / "x").write_bytes(b"x")
    (bench.run / "loop").symlink_to("loop")
    value = msgspec.json.encode("?") if "\udcff" in named else msgspec.json.encode(named)
    with pytest.raises((Refused, NotFound, Forbidden), match="The model returned"):
        await bench.keeper.keep(prediction_id=ID, first_index=0, value=value, paths=[()], folder=bench.run)


@pytest.mark.parametrize(
    ("value", "pointer"), [({"a": 1}, ("a",)), ({"a": 1}, ("b",)), ([], (0,)), ("x", ("y",)), (None, ())]
)
async def test_a_pointer_to_no_path_is_refused(bench: Bench, value: Any, pointer: Pointer) -> None:
    with pytest.raises(Refused, match="The output names a file at"):
        await bench.keep(value, pointer)


async def test_a_file_over_the_limit_is_refused_with_the_limit(bench: Bench) -> None:
    (bench.run / "big").write_bytes(b"x" * 1001)
    with pytest.raises(TooLarge, match=r"'big' of 1001 bytes; the limit is 1000 bytes"):
        await bench.keep("big", ())


async def test_a_full_disk_may_be_tried_again(bench: Bench) -> None:
    (bench.run / "out.txt").write_bytes(b"x")
    bench.blobs.full = True
    with pytest.raises(StorageFull):
        await bench.keep("out.txt", ())
    bench.blobs.full = False
    assert len((await bench.keep("out.txt", ())).files) == 1


async def test_the_end_of_a_prediction_releases_its_files(bench: Bench) -> None:
    (bench.run / "out.txt").write_bytes(b"x")
    (file,) = (await bench.keep("out.txt", ())).files
    await bench.keeper.release(ID)
    assert not await bench.blobs.exists(file.sha256)


class Hasty(SystemClock):
    """A clock on which no pause takes time."""

    async def sleep(self, seconds: float) -> None:
        pass


@pytest.fixture
def linked(bench: Bench) -> FakeFetch:
    """The bench fetches links."""
    fetch = FakeFetch()
    links = OutputLinks(fetch=fetch, limit_bytes=1000, deadline_seconds=5.0, clock=Hasty())
    blob_references = BlobReferences(blobs=bench.blobs, ledger=bench.ledger)
    bench.keeper = OutputFileStore(blob_references=blob_references, limit_bytes=1000, links=links)
    return fetch


async def keep_linked(bench: Bench, value: Any, paths: list[Pointer], links: list[Pointer]) -> StoredOutput:
    given = msgspec.json.encode(value)
    return await bench.keeper.keep(
        prediction_id=ID, first_index=2, value=given, paths=paths, links=links, folder=bench.run
    )


async def test_what_a_link_leads_to_is_stored_here(bench: Bench, linked: FakeFetch) -> None:
    linked.behind = {"https://up.test/a.png?x=1": PNG, "https://up.test/b/a.png": b"b"}
    (bench.run / "own.txt").write_bytes(b"own")
    value = {
        "own": "own.txt",
        "all": ["https://up.test/a.png?x=1", "https://up.test/b/a.png"],
        "text": "https://x.test",
    }
    kept = await keep_linked(bench, value, [("own",)], [("all", 0), ("all", 1)])
    assert [(file.index, file.name) for file in kept.files] == [(2, "own.txt"), (3, "a.png"), (4, "a.png")]
    assert [await read_all(bench.blobs, file.sha256) for file in kept.files] == [b"own", PNG, b"b"]
    refs = [file.ref for file in kept.files]
    assert msgspec.json.decode(kept.value) == {"own": refs[0], "all": refs[1:], "text": "https://x.test"}


async def test_a_link_that_leads_nowhere_refuses_the_output(bench: Bench, linked: FakeFetch) -> None:
    linked.behind = {"https://up.test/big": b"x" * 2000}
    for url, error in (
        ("https://up.test/gone", FetchFailed),
        ("https://up.test/big", TooLarge),
        ("http://127.0.0.1/x", AddressRefused),
    ):
        with pytest.raises(error):
            await keep_linked(bench, url, [], [()])


@pytest.mark.parametrize(("status", "tries"), [(None, 4), (503, 4), (403, 4), (404, 2), (410, 2)])
async def test_a_file_that_is_not_there_yet_is_fetched_again(
    bench: Bench, linked: FakeFetch, status: int | None, tries: int
) -> None:
    url = "https://up.test/late.png"
    linked.behind = {url: FetchFailed("not now", status=status)}
    with pytest.raises(FetchFailed):
        await keep_linked(bench, url, [], [()])
    assert linked.asked == [url] * tries

    class Late(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            return PNG if len(linked.asked) == tries + 2 else super().get(key, default)

    linked.behind = Late(linked.behind)
    kept = await keep_linked(bench, url, [], [()])
    assert await read_all(bench.blobs, kept.files[0].sha256) == PNG


async def test_a_page_in_place_of_a_picture_is_refused(bench: Bench, linked: FakeFetch) -> None:
    page = (b"<html>Your link has expired</html>", "text/html")
    linked.behind = {"https://up.test/a.png": page, "https://up.test/report.html": page}
    with pytest.raises(Refused, match="page"):
        await keep_linked(bench, "https://up.test/a.png", [], [()])
    assert len((await keep_linked(bench, "https://up.test/report.html", [], [()])).files) == 1


async def test_without_a_way_out_a_link_is_refused(bench: Bench) -> None:
    with pytest.raises(Refused):
        await keep_linked(bench, "https://up.test/a.png", [], [()])
