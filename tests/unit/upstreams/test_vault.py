"""Files of outputs are copied here through egress, byte for byte, or the output is refused with the reason."""

import asyncio
import errno
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.assets.blob_references import BlobReferences
from halley.assets.output_links import FETCHES_AT_ONCE, OutputLinks
from halley.assets.outputs import OutputFileStore, StoredOutput
from halley.assets.ports import Draft, Fetched
from halley.blobs.memory import MemoryBlobs
from halley.clock import SystemClock
from halley.dispatch.ports import OutputPart, Progress
from halley.dispatch.upstreams import UpstreamTarget
from halley.egress import AddressRules, Egress, origin_of
from halley.errors import AddressRefused, FetchFailed, HalleyError, Refused, StorageFull, TooLarge
from halley.testing.blobs import InspectableLedger
from halley.testing.providers import work_of
from halley.testing.replicate.faults import ServiceFault, says
from halley.testing.replicate.opening import open_provider
from halley.testing.replicate.scripts import Stage
from halley.testing.replicate.server import FakeServer, serve
from halley.testing.replicate.service import TOKEN, FakeService, kind_of

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


class Hasty(SystemClock):
    async def sleep(self, seconds: float) -> None:
        pass


class Vault:
    """A run whose output names files of the service, and the store for them."""

    def __init__(self, service: FakeService, server: FakeServer, folder: Path) -> None:
        self.service, self.server, self.folder = service, server, folder
        self.root = server.url.removesuffix("/v1")
        self.blobs = MemoryBlobs()

    async def kept(self, make_output: Callable[[str], Any], *, limit_bytes: int = 100_000) -> list[StoredOutput]:
        output = make_output(self.root)
        self.service.models = {"test/echo": lambda _: [Stage(status="succeeded", output=output)]}  # type: ignore[misc]
        said: list[Progress] = []
        async with open_provider(self.server.url, "replicate") as provider:
            await provider.follow(await provider.submit(work_of("echo", "a", "p1")), said.append)
        rules = AddressRules(origins=frozenset({origin_of(self.server.url)}))
        links = OutputLinks(fetch=Egress(rules), limit_bytes=limit_bytes, deadline_seconds=10.0, clock=Hasty())
        references = BlobReferences(blobs=self.blobs, ledger=InspectableLedger())
        keeper = OutputFileStore(blob_references=references, links=links)
        return [
            await keeper.keep(
                prediction_id="p1",
                first_index=number,
                value=part.value,
                paths=part.paths,
                links=part.links,
                folder=self.folder,
            )
            for number, part in enumerate(part for part in said if isinstance(part, OutputPart))
        ]


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with opened(tmp_path) as found:
        yield found


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Vault]:
    service = FakeService({})
    service.files = {"one.png": PNG, "two.png": PNG[::-1], "empty.txt": b""}
    async with serve(service) as server:
        yield Vault(service, server, folder)


async def test_the_bytes_are_those_of_the_service_and_no_link_of_it_stays(vault: Vault) -> None:
    kept = await vault.kept(lambda root: [f"{root}/a/one.png", f"{root}/a/two.png?x=1", f"{root}/a/empty.txt"])
    files = [file for one in kept for file in one.files]
    found = [b"".join([chunk async for chunk in vault.blobs.open(file.sha256)]) for file in files]
    assert found == [PNG, PNG[::-1], b""]
    assert [file.name for file in files] == ["one.png", "two.png", "empty.txt"]
    assert all(b"http" not in bytes(one.value) for one in kept)
    assert re.fullmatch(r"asset:p1/0/one\.png", msgspec.json.decode(kept[0].value))
    asked = [one for one in vault.service.asked if kind_of(one) == "file"]
    assert all("authorization" not in one.headers and TOKEN not in str(one) for one in asked)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (says(404, b"gone"), FetchFailed),
        (says(410, b"gone"), FetchFailed),
        (says(500, b""), FetchFailed),
        (ServiceFault(acts=True, cut="middle"), FetchFailed),
        (says(200, b"x", content_length="10737418240"), TooLarge),
        (says(200, b"<html>Your link has expired</html>", kind="text/html"), Refused),
        (says(302, b"", location="http://127.0.0.1:9/a/one.png"), AddressRefused),
        (says(302, b"", location="http://169.254.169.254/latest/meta-data"), AddressRefused),
        (says(302, b"", location="file:///etc/passwd"), AddressRefused),
    ],
)
async def test_a_file_that_cannot_be_had_refuses_the_output(
    vault: Vault, fault: ServiceFault, error: type[HalleyError]
) -> None:
    vault.service.plan("file", *[fault] * 4)
    with pytest.raises(error) as caught:
        await vault.kept(lambda root: [f"{root}/a/one.png"])
    assert "?" not in str(caught.value)


async def test_a_file_that_comes_late_is_waited_for(vault: Vault) -> None:
    vault.service.plan("file", says(404, b""))
    assert len((await vault.kept(lambda root: f"{root}/a/one.png"))[0].files) == 1


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost:9", "169.254.169.254", "[::1]", "10.0.0.1"])
async def test_private_addresses_are_not_reached_through_an_output(vault: Vault, host: str) -> None:
    with pytest.raises(AddressRefused):
        await vault.kept(lambda _: {"image": f"http://{host}/a/one.png"})


@pytest.mark.parametrize(
    ("output", "passed"),
    [
        (["{root}/a/one.png", "{root}/a/two.png"], [True, True]),
        ({"image": "{root}/a/one.png", "text": "a word"}, [True]),
        ("no link", [False]),
        (["a", "b"], [False, False]),
    ],
)
async def test_a_route_may_pass_links_on(vault: Vault, output: Any, passed: list[bool]) -> None:
    shown = msgspec.json.decode(msgspec.json.encode(output).replace(b"{root}", vault.root.encode()))
    vault.service.models = {"test/echo": lambda _: [Stage(status="succeeded", output=shown)]}  # type: ignore[misc]
    target = UpstreamTarget(model="test/echo", passes_links=True)
    async with open_provider(vault.server.url, "replicate", dependencies={"find_target": lambda _: target}) as provider:
        said: list[Progress] = []
        await provider.follow(await provider.submit(work_of("echo", "a", "p1")), said.append)
    parts = [part for part in said if isinstance(part, OutputPart)]
    values = [msgspec.json.decode(part.value) for part in parts]
    assert (values if parts[0].more else values[0]) == shown
    assert [part.passed for part in parts] == passed
    assert not any(part.links for part in parts)


async def test_the_slow_files_of_one_service_do_not_delay_those_of_another(tmp_path: Path) -> None:
    class Fetching:
        """Files of the service `slow` never come."""

        def __init__(self) -> None:
            self.waits = 0

        def check_url(self, url: str) -> None:
            del url

        async def fetch(self, url: str, *, to: Path | Draft, **_: Any) -> Fetched:
            if "slow" in url:
                self.waits += 1
                await asyncio.get_running_loop().create_future()
            path = to.path if isinstance(to, Draft) else to
            path.write_bytes(PNG)
            return Fetched(path=path, content_type="image/png", size_bytes=len(PNG), file_name="a.png")

    fetching = Fetching()
    links = OutputLinks(fetch=fetching, limit_bytes=100_000, deadline_seconds=10.0)
    slow = [
        asyncio.ensure_future(links.fetch("https://slow.example/a", number, tmp_path, ("slow.example", 443)))
        for number in range(100)
    ]
    while not fetching.waits:
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        for number in range(100, 110):
            await links.fetch("https://fast.example/a", number, tmp_path, ("fast.example", 443))
    assert 0 < fetching.waits < FETCHES_AT_ONCE
    for one in slow:
        one.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_a_full_disk_is_no_fault_of_an_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "no space")

    links = OutputLinks(fetch=Egress(AddressRules()), limit_bytes=100, deadline_seconds=10.0)
    for method in ("write_bytes", "mkdir"):
        with monkeypatch.context() as patched:
            patched.setattr(Path, method, full)
            with pytest.raises(StorageFull):
                await links.fetch("data:text/plain,hi", 0, tmp_path)
    assert (await links.fetch("data:text/plain,hi", 0, tmp_path)).read_bytes() == b"hi"
