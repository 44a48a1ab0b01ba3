"""Requests to a configured origin: any address, kept connections, and whether a body can have arrived."""

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import anyio.abc
import pytest

from halley.egress import AddressRules, Egress, OriginClient
from halley.egress.errors import AddressRefused, FetchFailed, NotSent, TooLarge

pytestmark = pytest.mark.anyio

Serve = Callable[[anyio.abc.SocketStream], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def requests_of(stream: anyio.abc.SocketStream) -> AsyncIterator[bytes]:
    """Each request with its body, as long as the client keeps the connection."""
    received = b""
    while True:
        while b"\r\n\r\n" not in received:
            received += await stream.receive()
        head, _, received = received.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
        while len(received) < size:
            received += await stream.receive()
        yield head + b"\r\n\r\n" + received[:size]
        received = received[size:]


class Server:
    def __init__(self, serve: Serve) -> None:
        self.serve = serve
        self.connections = 0
        self.heads: list[bytes] = []
        self.port = 0

    async def handle(self, stream: anyio.abc.SocketStream) -> None:
        self.connections += 1
        async with stream:
            try:
                await self.serve(stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async def answer_all(stream: anyio.abc.SocketStream) -> None:
        async for request in requests_of(stream):
            found.heads.append(request)
            await stream.send(OK)

    found = Server(answer_all)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    found.port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, found.handle)
        yield found
        tasks.cancel_scope.cancel()


async def post(origin: OriginClient, *, fresh: bool = True, deadline_seconds: float = 120.0) -> int:
    answer = await origin.request(
        "POST", "/x", content=b"{}", limit_bytes=100, deadline_seconds=deadline_seconds, fresh=fresh
    )
    return answer.status


async def test_a_connection_is_kept_and_a_fresh_one_is_not(server: Server) -> None:
    origin = OriginClient(f"http://127.0.0.1:{server.port}/v1/", silence_seconds=20)
    for _ in range(3):
        await origin.request("GET", "/a?b=c", limit_bytes=100, deadline_seconds=20)
    assert server.connections == 1
    assert await post(origin) == 200
    assert server.connections == 2
    assert server.heads[0].startswith(b"GET /v1/a?b=c HTTP/1.1\r\n")
    await origin.close()


async def test_a_host_that_refuses_connections_was_sent_nothing() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
    with pytest.raises(NotSent):
        await post(OriginClient(f"http://127.0.0.1:{port}", silence_seconds=20))


async def test_a_name_without_an_address_was_sent_nothing() -> None:
    async def resolve(name: str, port: int) -> list[str]:
        raise OSError(name, port)

    with pytest.raises(NotSent):
        await post(OriginClient("http://gone.example", silence_seconds=20, resolve=resolve))


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", b"SSH-2.0\r\n\r\n"])
async def test_an_answer_that_breaks_off_leaves_it_open(server: Server, beginning: bytes) -> None:
    async def cut(stream: anyio.abc.SocketStream) -> None:
        async for _ in requests_of(stream):
            await stream.send(beginning)
            return

    server.serve = cut
    with pytest.raises(FetchFailed) as caught:
        await post(OriginClient(f"http://127.0.0.1:{server.port}", silence_seconds=20))
    assert not isinstance(caught.value, NotSent)


async def test_silence_after_the_body_leaves_it_open(server: Server) -> None:
    async def be_silent(stream: anyio.abc.SocketStream) -> None:
        async for _ in requests_of(stream):
            await anyio.sleep_forever()

    server.serve = be_silent
    for origin, deadline in (
        (OriginClient(f"http://127.0.0.1:{server.port}", silence_seconds=0.1), 20.0),
        (OriginClient(f"http://127.0.0.1:{server.port}", silence_seconds=20), 0.1),
    ):
        with pytest.raises(FetchFailed) as caught:
            await post(origin, deadline_seconds=deadline)
        assert not isinstance(caught.value, NotSent)


@pytest.mark.parametrize("url", ["ftp://a.example", "http://u:p@a.example", "http://a.example/?x=1", "http://a:x/"])
def test_only_a_plain_url_is_an_origin(url: str) -> None:
    with pytest.raises(AddressRefused):
        OriginClient(url, silence_seconds=1)


def test_an_origin_is_reachable_by_its_own_host_and_port_only() -> None:
    rules = AddressRules(origins=frozenset({("10.0.0.5", 1986), ("gpu.localhost", 1986)}))
    for url in ("http://10.0.0.5:1986/d/x", "http://gpu.localhost:1986/d/x"):
        Egress(rules).check_url(url)
    for url in ("http://10.0.0.5/", "http://10.0.0.6:1986/", "http://localhost:1986/"):
        with pytest.raises(AddressRefused):
            Egress(rules).check_url(url)


async def test_a_stream_is_read_as_it_arrives_and_only_from_its_own_host(server: Server) -> None:
    more = anyio.Event()

    async def drip(stream: anyio.abc.SocketStream) -> None:
        async for request in requests_of(stream):
            server.heads.append(request)
            status = b"404 Not Found" if b"/gone" in request else b"200 OK"
            await stream.send(b"HTTP/1.1 " + status + b"\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
            await more.wait()
            await stream.send(b"data: 2\n\n")
            return

    server.serve = drip
    origin = OriginClient(f"http://127.0.0.1:{server.port}/v1", silence_seconds=20)
    root = f"http://127.0.0.1:{server.port}"
    found = []
    async for chunk in origin.stream(f"{root}/v1/streams/x", silence_seconds=20):
        found.append(chunk)
        more.set()
    assert b"".join(found) == b"data: 1\n\ndata: 2\n\n"
    assert b"authorization" not in server.heads[0].lower()
    for url, error in (
        (f"{root}/gone", FetchFailed),
        (f"http://127.0.0.1:{server.port + 1}/v1/streams/x", AddressRefused),
        (f"https://127.0.0.1:{server.port}/v1/streams/x", AddressRefused),
        ("https://stream.example/x", AddressRefused),
        ("file:///etc/passwd", AddressRefused),
    ):
        with pytest.raises(error):
            async for _ in origin.stream(url, silence_seconds=20):
                pass


async def test_an_exchange_is_read_as_it_arrives_on_a_connection_of_its_own(server: Server) -> None:
    origin = OriginClient(f"http://127.0.0.1:{server.port}/v1", silence_seconds=20)
    for limit, wanted in ((2, b"ok"), (1, TooLarge)):
        async with origin.exchange("PUT", "/p", content=b"{}", silence_seconds=20) as answer:
            assert answer.status == 200
            if isinstance(wanted, bytes):
                assert (await answer.whole(limit)).body == wanted
            else:
                with pytest.raises(wanted):
                    await answer.whole(limit)
    assert server.connections == 2
    assert server.heads[0].startswith(b"PUT /v1/p HTTP/1.1\r\n")
    assert b"{}" in server.heads[0]


async def test_an_exchange_says_whether_its_body_can_have_arrived(server: Server) -> None:
    async def cut(stream: anyio.abc.SocketStream) -> None:
        async for _ in requests_of(stream):
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")
            return

    server.serve = cut
    origin = OriginClient(f"http://127.0.0.1:{server.port}", silence_seconds=20)
    with pytest.raises(FetchFailed) as caught:
        async with origin.exchange("PUT", "/p", content=b"{}", silence_seconds=20) as answer:
            await answer.whole(100)
    assert not isinstance(caught.value, NotSent)
    with pytest.raises(NotSent):
        async with OriginClient("http://127.0.0.1:1", silence_seconds=20).exchange(
            "PUT", "/p", content=b"{}", silence_seconds=20
        ):
            pass
