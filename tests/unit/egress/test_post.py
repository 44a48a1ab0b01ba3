"""Messages through the door: what counts as an answer, and that each attempt looks the address up anew."""

import socket
import threading
from typing import Any

import anyio
import anyio.abc
import pytest

from halley.egress import Egress, rules_from
from halley.errors import AddressRefused, FetchFailed
from halley.webhooks.ports import Posted
from unit.egress.test_client import Host, answer, door, host

__all__ = ["host"]
pytestmark = pytest.mark.anyio


async def post(egress: Egress, url: str, *, total_seconds: float = 20, keep_bytes: int = 100) -> Posted:
    return await egress.post(
        url,
        headers=[("webhook-id", "msg_1"), ("user-agent", "halley/x")],
        content=b'{"a":1}',
        connect_seconds=5,
        total_seconds=total_seconds,
        keep_bytes=keep_bytes,
    )


async def test_a_message_arrives_as_it_is(host: Host) -> None:
    host.answers["/hook"] = answer(b"thanks", "202 Accepted")
    posted = await post(door(host), host.url("/hook?x=1"))
    assert (posted.status, posted.body) == (202, b"thanks")
    (request,) = host.requests
    assert request.startswith("POST /hook?x=1 HTTP/1.1\r\n")
    assert "webhook-id: msg_1\r\n" in request
    assert "user-agent: halley/x\r\n" in request
    assert "content-length: 7\r\n" in request


async def test_a_redirect_is_an_answer(host: Host) -> None:
    host.answers["/hook"] = answer(b"", "307 Temporary Redirect", location=host.url("/other"))
    posted = await post(door(host), host.url("/hook"))
    assert posted.status == 307
    assert posted.headers["location"].endswith("/other")
    assert len(host.requests) == 1


async def test_of_a_long_answer_the_beginning_is_kept(host: Host) -> None:
    host.answers["/hook"] = answer(b"x" * 5_000_000, "500 Internal Server Error")
    posted = await post(door(host), host.url("/hook"))
    assert (posted.status, posted.body) == (500, b"x" * 100)


async def test_of_two_answers_the_first_counts(host: Host) -> None:
    host.answers["/hook"] = answer(b"one", "503 Service Unavailable") + answer(b"two", "200 OK")
    posted = await post(door(host), host.url("/hook"))
    assert (posted.status, posted.body) == (503, b"one")


async def test_a_compressed_answer_is_kept_as_it_came(host: Host) -> None:
    host.answers["/hook"] = answer(b"\x1f\x8b", "200 OK", content_encoding="gzip")
    assert (await post(door(host), host.url("/hook"))).body == b"\x1f\x8b"


async def test_a_receiver_that_never_answers_costs_the_time_limit(host: Host) -> None:
    async def silent(stream: anyio.abc.SocketStream) -> None:
        await anyio.sleep_forever()

    host.answers["/hook"] = silent
    with pytest.raises(FetchFailed, match="took longer than"):
        await post(door(host), host.url("/hook?token=secret"), total_seconds=0.3)


@pytest.mark.parametrize("then", ["silence", "nonsense", "cut"])
async def test_an_answer_counts_from_its_status_on(host: Host, then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def half(stream: anyio.abc.SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwait\r\n")
        if then == "silence":
            await anyio.sleep_forever()
        elif then == "nonsense":
            await stream.send(b"zz\r\n\r\n")

    host.answers["/hook"] = half
    monkeypatch.setattr("halley.egress.client._LAST_WORD_SECONDS", 28.0)  # a machine that stands still has some, too
    posted = await post(door(host), host.url("/hook"), total_seconds=30)
    assert (posted.status, posted.body) == (200, b"wait")


async def test_what_is_no_http_is_no_answer(host: Host) -> None:
    host.answers["/hook"] = b"SSH-2.0-OpenSSH\r\n"
    with pytest.raises(FetchFailed):
        await post(door(host), host.url("/hook"))


async def test_a_name_that_moves_to_a_private_address_is_refused_at_that_attempt(host: Host) -> None:
    host.answers["/hook"] = answer()
    addresses = ["127.0.0.1"]

    async def resolve(name: str, port: int) -> list[str]:
        return addresses

    egress = Egress(rules_from([f"127.0.0.1:{host.port}"]), resolve=resolve)
    url = host.url("/hook", "receiver.example")
    assert (await post(egress, url)).status == 200
    addresses[:] = ["10.0.0.1"]
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1"):
        await post(egress, url)
    addresses[:] = ["127.0.0.1"]
    assert (await post(egress, url)).status == 200
    assert len(host.requests) == 2


async def test_unanswered_name_lookups_delay_no_other(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def look_up(name: bytes | str, *_args: Any, **_options: Any) -> list[Any]:
        if b"dead" in (name.encode() if isinstance(name, str) else name):
            is_over.wait(60)
            raise socket.gaierror("no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", host.port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    host.answers["/hook"] = answer()
    egress = Egress(rules_from([f"127.0.0.1:{host.port}"]), max_concurrent=100)

    async def in_vain(number: int) -> None:
        with pytest.raises(FetchFailed, match=r"took longer than|cannot be resolved"):
            await post(egress, host.url("/hook", f"dead{number}.example"))

    try:
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(in_vain, number)
            await anyio.sleep(0.1)
            assert (await post(egress, host.url("/hook", "good.example"), total_seconds=10)).status == 200
            is_over.set()
    finally:
        is_over.set()


async def test_messages_say_nothing_of_the_query(host: Host) -> None:
    unused = host.port
    egress = Egress(rules_from(["127.0.0.1:*"]))
    host.answers["/hook"] = b""
    with pytest.raises(FetchFailed) as failed:
        await post(egress, f"http://127.0.0.1:{unused}/hook?token=sesame")
    assert "sesame" not in str(failed.value)
    assert "/hook" in str(failed.value)
