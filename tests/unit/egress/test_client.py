"""Fetching, on loopback only: what is reached, what is refused, what is left behind."""

import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import anyio.abc
import pytest

from halley.egress import AddressRules, Egress, rules_from
from halley.errors import AddressRefused, FetchFailed, TooLarge

pytestmark = pytest.mark.anyio

Serve = Callable[[anyio.abc.SocketStream], Awaitable[None]]


def answer(body: bytes = b"hello", status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if "transfer_encoding" not in headers and "content_length" not in headers:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Host:
    """A foreign host on loopback that answers by path and remembers what it was asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, bytes | Serve] = {}
        self.requests: list[str] = []

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        try:
            async with stream:
                await self._answer(stream)
        except (anyio.BrokenResourceError, anyio.EndOfStream):
            pass  # the client has seen enough

    async def _answer(self, stream: anyio.abc.SocketStream) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += await stream.receive()
        self.requests.append(received.decode())
        found = self.answers[received.split(b" ", 2)[1].decode().partition("?")[0]]
        await (stream.send(found) if isinstance(found, bytes) else found(stream))


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    found = Host(listener.extra(anyio.abc.SocketAttribute.local_port))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, found.serve)
        yield found
        tasks.cancel_scope.cancel()


def door(host: Host, **names: list[str]) -> Egress:
    async def resolve(name: str, port: int) -> list[str]:
        return names[name.replace(".", "_")]

    return Egress(rules_from([f"127.0.0.1:{host.port}"]), resolve=resolve)


async def get(egress: Egress, url: str, to: Path, limit_bytes: int = 1000, deadline_seconds: float = 120.0) -> bytes:
    fetched = await egress.fetch(url, to=to, limit_bytes=limit_bytes, deadline_seconds=deadline_seconds)
    found = await anyio.Path(to).read_bytes()
    assert (fetched.path, fetched.size_bytes) == (to, len(found))
    return found


async def test_an_allowed_address_is_fetched_with_its_name_and_type(host: Host, tmp_path: Path) -> None:
    host.answers["/a%20b.png"] = answer(b"png", content_type="image/PNG; x=y")
    fetched = await door(host).fetch(
        host.url("/a%20b.png?sig=1"), to=tmp_path / "f", limit_bytes=3, deadline_seconds=20
    )
    assert (fetched.content_type, fetched.file_name, fetched.size_bytes) == ("image/png", "a b.png", 3)
    assert (tmp_path / "f").read_bytes() == b"png"


async def test_the_request_asks_for_plain_bytes_and_carries_no_secret(host: Host, tmp_path: Path) -> None:
    host.answers["/x"] = answer()
    await get(door(host, files_example=["127.0.0.1"]), host.url("/x?q=1", "files.example"), tmp_path / "f")
    request = host.requests[0].lower()
    assert request.startswith("get /x?q=1 http/1.1\r\n")
    assert f"host: files.example:{host.port}\r\n" in request
    assert "accept-encoding: identity\r\n" in request
    for name in ("authorization", "cookie", "proxy"):
        assert name not in request


async def test_a_name_that_resolves_to_a_private_address_is_refused_without_a_connection(
    host: Host, tmp_path: Path
) -> None:
    for inside in ("127.0.0.2", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"):
        with pytest.raises(AddressRefused):
            await get(door(host, files_example=[inside]), host.url("/x", "files.example"), tmp_path / "f")
    assert host.requests == []
    assert not (tmp_path / "f").exists()


async def test_a_service_is_reached_at_any_address_in_its_own_fetches_only(host: Host, tmp_path: Path) -> None:
    async def resolve(name: str, port: int) -> list[str]:
        del name, port
        return ["127.0.0.1"]

    host.answers["/x"] = answer()
    host.answers["/there"] = answer(b"", "302 Found", location=f"http://127.0.0.1:{host.port}/x")
    egress, origin = Egress(rules_from([]), resolve=resolve), ("files.example", host.port)
    url = host.url("/x", "files.example")
    fetched = await egress.fetch(url, to=tmp_path / "a", limit_bytes=9, deadline_seconds=20, origin=origin)
    assert fetched.size_bytes == 5
    with pytest.raises(AddressRefused):
        await get(egress, url, tmp_path / "b")
    for url in (host.url("/there", "files.example"), host.url("/x"), host.url("/x", "other.example")):
        with pytest.raises(AddressRefused):
            await egress.fetch(url, to=tmp_path / "f", limit_bytes=9, deadline_seconds=20, origin=origin)


async def test_one_bad_address_among_good_ones_is_enough_to_refuse(host: Host, tmp_path: Path) -> None:
    egress = door(host, files_example=["127.0.0.1", "10.0.0.1"])
    with pytest.raises(AddressRefused):
        await get(egress, host.url("/x", "files.example"), tmp_path / "f")
    assert host.requests == []


async def test_a_name_is_looked_up_once_so_a_changed_answer_cannot_matter(host: Host, tmp_path: Path) -> None:
    host.answers["/x"] = answer()
    looked_up: list[str] = []

    async def rebinding(name: str, port: int) -> list[str]:
        looked_up.append(name)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["10.0.0.1"]

    egress = Egress(rules_from([f"127.0.0.1:{host.port}"]), resolve=rebinding)
    assert await get(egress, host.url("/x", "rebind.example"), tmp_path / "f") == b"hello"
    assert looked_up == ["rebind.example"]
    with pytest.raises(AddressRefused):
        await get(egress, host.url("/x", "rebind.example"), tmp_path / "g")


async def test_redirects_are_followed_three_times(host: Host, tmp_path: Path) -> None:
    for step in range(4):
        host.answers[f"/{step}"] = answer(b"", "302 Found", location=f"/{step + 1}")
    host.answers["/4"] = answer(b"end")
    assert await get(door(host), host.url("/1"), tmp_path / "f") == b"end"
    with pytest.raises(FetchFailed, match="more than 3 redirects"):
        await get(door(host), host.url("/0"), tmp_path / "g")


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://2130706433/",
        "http://inside.example/",
        "http://user:pw@files.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
    ],
)
async def test_a_redirect_to_a_forbidden_place_is_refused(host: Host, tmp_path: Path, location: str) -> None:
    host.answers["/x"] = answer(b"", "301 Moved", location=location)
    egress = door(host, inside_example=["192.168.0.1"], files_example=["127.0.0.1"])
    with pytest.raises(AddressRefused):
        await get(egress, host.url("/x"), tmp_path / "f")
    assert len(host.requests) == 1
    assert not (tmp_path / "f").exists()


async def test_a_declared_length_over_the_limit_is_refused_before_reading(host: Host, tmp_path: Path) -> None:
    host.answers["/x"] = answer(b"", content_length="1001")
    with pytest.raises(TooLarge, match="limit of 1000 bytes"):
        await get(door(host), host.url("/x"), tmp_path / "f")
    assert not (tmp_path / "f").exists()


async def test_an_endless_body_is_cut_at_the_limit(host: Host, tmp_path: Path) -> None:
    async def endless(stream: anyio.abc.SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await stream.send(b"400\r\n" + b"x" * 1024 + b"\r\n")

    host.answers["/x"] = endless
    with pytest.raises(TooLarge):
        await get(door(host), host.url("/x"), tmp_path / "f", limit_bytes=100_000)
    assert not (tmp_path / "f").exists()


async def test_a_host_that_never_ends_its_answer_is_left_at_the_deadline(host: Host, tmp_path: Path) -> None:
    async def silent(stream: anyio.abc.SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe")
        await stream.receive()

    host.answers["/x"] = silent
    with pytest.raises(FetchFailed, match=r"took longer than 0\.2 s"):
        await get(door(host), host.url("/x"), tmp_path / "f", deadline_seconds=0.2)
    assert not (tmp_path / "f").exists()


async def test_a_body_that_breaks_off_leaves_nothing(host: Host, tmp_path: Path) -> None:
    url = host.url("/x")
    for sent, words in (
        (answer(b"he", content_length="5"), f"The download of {url} broke off after 2 of 5 bytes."),
        (
            answer(b"3\r\nhel\r\n5\r\nlo", transfer_encoding="chunked"),
            f"The download of {url} broke off after 5 bytes.",
        ),
        (b"", f"{url} could not be reached: it closed the connection without a whole answer."),
        (b"220 mail.example ESMTP\r\n\r\n", f"{url} could not be reached: its answer is not valid HTTP."),
    ):
        host.answers["/x"] = sent
        with pytest.raises(FetchFailed) as failed:
            await get(door(host), url, tmp_path / "f")
        assert str(failed.value) == words
        assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "204 Empty", "206 Partial", "302 No Location"])
async def test_anything_but_200_fails_and_its_body_is_not_quoted(host: Host, tmp_path: Path, status: str) -> None:
    host.answers["/x"] = answer(b"" if "204" in status else b"secret inside", status)
    with pytest.raises(FetchFailed, match=f"answered {status[:3]}") as caught:
        await get(door(host), host.url("/x?sig=hidden"), tmp_path / "f")
    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)


async def test_a_compressed_answer_is_refused_instead_of_unpacked(host: Host, tmp_path: Path) -> None:
    host.answers["/x"] = answer(b"\x1f\x8b", content_encoding="gzip")
    with pytest.raises(FetchFailed, match="compressed"):
        await get(door(host), host.url("/x"), tmp_path / "f")


async def test_a_closed_port_and_an_unknown_name_are_failures_not_crashes(host: Host, tmp_path: Path) -> None:
    async def unknown(name: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(FetchFailed, match="cannot be resolved"):
        await get(Egress(AddressRules(), resolve=unknown), "http://nowhere.example/", tmp_path / "f")
    with pytest.raises(FetchFailed, match="could not be reached"):
        await get(Egress(rules_from(["127.0.0.1:1"])), "http://127.0.0.1:1/", tmp_path / "f")


async def test_a_second_address_is_tried_when_the_first_does_not_answer(host: Host, tmp_path: Path) -> None:
    host.answers["/x"] = answer()

    async def two(name: str, port: int) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]

    egress = Egress(rules_from([f"127.0.0.0/8:{host.port}"]), resolve=two)
    assert await get(egress, host.url("/x", "two.example"), tmp_path / "f") == b"hello"


async def test_an_existing_file_or_link_is_not_written_through(host: Host, tmp_path: Path) -> None:
    host.answers["/x"] = answer()
    (tmp_path / "f").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        await get(door(host), host.url("/x"), tmp_path / "f")
    assert not (tmp_path / "elsewhere").exists()


async def test_proxy_variables_are_ignored(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    host.answers["/x"] = answer()
    assert await get(door(host), host.url("/x"), tmp_path / "f") == b"hello"


async def test_a_request_sends_what_it_is_given_and_gives_redirects_back(host: Host) -> None:
    host.answers["/hook"] = answer(b"ok", "307 Elsewhere", location="/other", X_Seen="1")
    found = await door(host).request(
        "POST",
        host.url("/hook"),
        headers=[("webhook-id", "msg_1"), ("content-type", "application/json")],
        content=b"{}",
        limit_bytes=100,
        deadline_seconds=20,
    )
    assert (found.status, found.body, found.headers["location"], found.headers["x-seen"]) == (307, b"ok", "/other", "1")
    assert "webhook-id: msg_1\r\n" in host.requests[0]
    assert "content-length: 2\r\n" in host.requests[0].lower()
    assert len(host.requests) == 1


async def test_header_injection_is_refused(host: Host) -> None:
    with pytest.raises(FetchFailed):
        await door(host).request("GET", host.url("/"), headers=[("x", "a\r\nb: c")], limit_bytes=1, deadline_seconds=20)
    assert host.requests == []


async def test_tls_asks_for_the_name_while_it_connects_to_the_checked_address(tmp_path: Path) -> None:
    hello: list[bytes] = []
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)

    async def listen(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            hello.append(await stream.receive())

    async def resolve(name: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    egress = Egress(rules_from([f"127.0.0.1:{port}"]), resolve=resolve)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, listen)
        with pytest.raises(FetchFailed, match="could not be reached"):
            await get(egress, f"https://files.example:{port}/x", tmp_path / "f")
        tasks.cancel_scope.cancel()
    assert b"files.example" in hello[0]


def test_a_server_without_outbound_requests_does_not_load_the_http_client() -> None:
    code = "import sys, halley.egress; sys.exit(any(name in sys.modules for name in ('httpcore2', 'ssl', 'h11')))"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode
        == 0
    )
