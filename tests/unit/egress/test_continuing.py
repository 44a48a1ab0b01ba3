"""A copy that was cut is continued where it broke off, if it is certain that the rest is of the same bytes."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from halley.assets.output_links import MOST_TRIES, PAUSES_SECONDS, OutputLinks
from halley.assets.ports import Draft
from halley.clock import SystemClock
from halley.egress import AddressRules, Egress
from halley.errors import FetchFailed, Refused, TooLarge

pytestmark = pytest.mark.anyio

DATA = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1000
OTHER = DATA[::-1]
TAG = {"etag": '"a"'}
OLD = {"last-modified": "Wed, 11 Mar 2026 08:00:00 GMT", "date": "Thu, 12 Mar 2026 08:00:00 GMT"}
FRESH = {"last-modified": "Thu, 12 Mar 2026 07:59:30 GMT", "date": "Thu, 12 Mar 2026 08:00:00 GMT"}


FAR = {**OLD, "last-modified": "Mon, 01 Jan 99999999999 00:00:00 GMT"}


class Hasty(SystemClock):
    async def sleep(self, seconds: float) -> None:
        pass


class Answer:
    """One answer; `cut`: the connection ends after so many bytes of its body."""

    def __init__(self, data: bytes = DATA, status: int = 200, *, cut: int | None = None, **headers: str) -> None:
        self.data, self.status, self.cut = data, status, cut
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.headers = {"content-length": str(len(data)), **named}


def rest(data: bytes, start: int, total: int | str | None = None, *, cut: int | None = None, **headers: str) -> Answer:
    """The rest of the body from `start`."""
    shown = f"bytes {start}-{len(data) - 1}/{len(data) if total is None else total}"
    return Answer(data[start:], 206, cut=cut, content_range=shown, **headers)


class Host:
    """Gives the answers in order, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[Answer | Callable[[dict[str, str]], Answer]] = []
        self.asked: list[dict[str, str]] = []
        self.port = 0
        self.goes_on = asyncio.Event()  # connections stay open until it is set
        self.goes_on.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/a/out-0.png"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked = dict(re.findall(r"^([\w-]+): (.*?)\r?$", head, flags=re.MULTILINE))
        self.asked.append({name.lower(): value for name, value in asked.items()})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        found = answer if isinstance(answer, Answer) else answer(self.asked[-1])
        lines = "".join(f"{name}: {value}\r\n" for name, value in found.headers.items())
        writer.write(f"HTTP/1.1 {found.status} X\r\n{lines}connection: close\r\n\r\n".encode())
        writer.write(found.data if found.cut is None else found.data[: found.cut])
        await writer.drain()
        await self.goes_on.wait()
        writer.close()

    async def copied(self, folder: Path, *, limit_bytes: int = 2**20) -> bytes:
        egress = Egress(AddressRules(origins=frozenset({("127.0.0.1", self.port)})))
        links = OutputLinks(fetch=egress, limit_bytes=limit_bytes, deadline_seconds=10.0, clock=Hasty())
        return (await links.fetch(self.url, 0, folder)).read_bytes()

    @property
    def ranges(self) -> list[str | None]:
        return [one.get("range") for one in self.asked]


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host = Host()
    server = await asyncio.start_server(host.handle, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    yield host
    host.goes_on.set()
    server.close()
    await asyncio.sleep(0)  # held connections close


@pytest.mark.parametrize("validator", [TAG, OLD])
async def test_the_rest_is_asked_for_with_the_validator(host: Host, tmp_path: Path, validator: dict[str, str]) -> None:
    host.answers = [
        Answer(cut=100_000, **validator),
        rest(DATA, 100_000, cut=50_000, **validator),
        rest(DATA, 150_000, "*", **validator),
    ]
    assert await host.copied(tmp_path) == DATA
    assert host.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert host.asked[1]["if-range"] == validator.get("etag", validator.get("last-modified"))


@pytest.mark.parametrize(
    "headers",
    [{}, {"etag": 'W/"a"'}, {"etag": "a"}, FRESH, {**TAG, "accept-ranges": "none"}, {"last-modified": "soon"}, FAR],
)
async def test_without_a_sure_validator_it_begins_again(host: Host, tmp_path: Path, headers: dict[str, str]) -> None:
    host.answers = [Answer(cut=100_000, **headers), Answer(**headers)]
    assert await host.copied(tmp_path) == DATA
    assert host.ranges == [None, None]


async def test_a_host_that_gives_only_pieces_is_asked_for_the_next(host: Host, tmp_path: Path) -> None:
    piece = Answer(DATA[100_000:150_000], 206, content_range=f"bytes 100000-149999/{len(DATA)}", **TAG)
    host.answers = [Answer(cut=100_000, **TAG), piece, rest(DATA, 150_000, **TAG)]
    assert await host.copied(tmp_path) == DATA


async def test_a_file_that_changed_meanwhile_is_copied_whole(host: Host, tmp_path: Path) -> None:
    host.answers = [Answer(cut=100_000, **TAG), Answer(OTHER, etag='"b"')]
    assert await host.copied(tmp_path) == OTHER


@pytest.mark.parametrize(
    "wrong",
    [
        rest(DATA, 90_000, **TAG),
        rest(OTHER, 100_000, etag='"b"'),
        rest(DATA + b"more", 100_000, **TAG),
        Answer(DATA[100_000:], 206, **TAG),
        Answer(DATA[100_000:], 206, content_range="bytes 100000-x/y", **TAG),
        rest(DATA, 100_000, len(DATA) + 1, **TAG),
        Answer(b"", 416, content_range=f"bytes */{len(DATA)}"),
    ],
)
async def test_another_part_than_the_rest_is_not_used(host: Host, tmp_path: Path, wrong: Answer) -> None:
    host.answers = [Answer(cut=100_000, **TAG), wrong, Answer(**TAG)]
    assert await host.copied(tmp_path) == DATA
    assert host.ranges == [None, "bytes=100000-", None]


async def test_a_rest_of_another_time_is_not_used(host: Host, tmp_path: Path) -> None:
    later = {**OLD, "last-modified": "Wed, 11 Mar 2026 09:00:00 GMT"}
    host.answers = [Answer(cut=100_000, **OLD), rest(OTHER, 100_000, **later), Answer(OTHER, **later)]
    assert await host.copied(tmp_path) == OTHER


async def test_a_part_that_nobody_asked_for_is_not_used(host: Host, tmp_path: Path) -> None:
    host.answers = [rest(DATA, 0, **TAG)]
    with pytest.raises(FetchFailed, match=r"File 1 of the output .* another part"):
        await host.copied(tmp_path)


async def test_a_host_that_always_breaks_off_is_given_up(host: Host, tmp_path: Path) -> None:
    host.answers = [Answer(cut=100_000)]
    with pytest.raises(FetchFailed):
        await host.copied(tmp_path)
    assert len(host.asked) == len(PAUSES_SECONDS) + 1
    host.asked.clear()

    def one_more(asked: dict[str, str]) -> Answer:
        start = int(asked.get("range", "bytes=0-")[6:-1])
        return rest(DATA, start, cut=1, **TAG) if start else Answer(cut=1, **TAG)

    host.answers = [one_more]
    with pytest.raises(FetchFailed):
        await host.copied(tmp_path)
    assert len(host.asked) == MOST_TRIES


async def test_what_is_announced_too_large_is_not_read(host: Host, tmp_path: Path) -> None:
    host.answers = [Answer(b"x", content_length=str(10 * 2**30))]
    with pytest.raises(TooLarge):
        await host.copied(tmp_path)
    host.answers = [
        Answer(DATA, cut=1000, content_length=str(2**20), **TAG),
        Answer(b"", 206, content_range=f"bytes 1000-{10 * 2**30 - 1}/{10 * 2**30}", content_length="1", **TAG),
        Answer(b"", 206, content_range=f"bytes 1000-{10 * 2**30 - 1}/{10 * 2**30}", content_length=str(10 * 2**30)),
    ]
    with pytest.raises((TooLarge, FetchFailed)):
        await host.copied(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 1000


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(b""), "an empty file"),
        (
            Answer(b"<html>Your link has expired</html>", content_type="text/html"),
            r"a page or a message \(text/html\) instead",
        ),
        (Answer(b'{"error": "gone"}', content_type="application/json"), r"a page or a message \(application/json\)"),
        (Answer(b"<?xml version='1.0'?><Error><Code>NoSuchKey"), "a page or a message"),
        (Answer(b"\xef\xbb\xbf <!DOCTYPE HTML>", content_type="image/png"), "a page or a message"),
    ],
)
async def test_what_cannot_be_the_file_is_refused(host: Host, tmp_path: Path, answer: Answer, text: str) -> None:
    host.answers = [answer]
    with pytest.raises(Refused, match=f"out-0.png, and its host sent {text}"):
        await host.copied(tmp_path)


async def test_a_file_that_is_empty_at_first_is_waited_for(host: Host, tmp_path: Path) -> None:
    host.answers = [Answer(b""), Answer()]
    assert await host.copied(tmp_path) == DATA


async def test_what_arrived_before_the_deadline_is_kept(host: Host, tmp_path: Path) -> None:
    host.answers = [Answer(DATA[:1000], content_length=str(len(DATA)), **TAG)]
    host.goes_on.clear()
    draft = Draft(path=tmp_path / "draft")
    egress = Egress(AddressRules(origins=frozenset({("127.0.0.1", host.port)})))
    with pytest.raises(FetchFailed, match="took longer"):
        await egress.fetch(host.url, to=draft, limit_bytes=2**20, deadline_seconds=0.5)
    assert (draft.size_bytes, draft.validator, draft.path.read_bytes()) == (1000, '"a"', DATA[:1000])
    host.goes_on.set()
    host.answers = [rest(DATA, 1000, **TAG)]
    await egress.fetch(host.url, to=draft, limit_bytes=2**20, deadline_seconds=10)
    assert draft.path.read_bytes() == DATA
