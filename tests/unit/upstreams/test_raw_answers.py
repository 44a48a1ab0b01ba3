"""Bytes that are no proper HTTP answer to a poll or a create, and answers that lead elsewhere with our token."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from halley.dispatch.ports import Progress
from halley.errors import OutcomeUnknown, ProviderBusy, SubmitRefused
from halley.testing.providers import outputs, work_of
from halley.testing.replicate.faults import ServiceFault, answer, says
from halley.testing.replicate.opening import open_provider
from halley.testing.replicate.scripts import echo
from halley.testing.replicate.server import serve
from halley.testing.replicate.service import FakeService, kind_of

pytestmark = pytest.mark.anyio

GOOD = json.dumps({"id": f"{1:026d}", "status": "succeeded", "output": "good"}).encode()
OK = b"HTTP/1.1 200 OK\r\n"
WRONG = b'{"status":"succeeded","output":"wrong"}'


def raw(head: bytes, body: bytes = b"", *, ends: bool = True) -> ServiceFault:
    """An answer after which the connection ends; without `ends` it stays open."""
    return ServiceFault(raw=head + b"\r\n" + body + b" " * 20 * ends, cut="middle" if ends else None)


READ = {  # answers that are one
    "old HTTP": raw(b"HTTP/1.0 200 OK\r\n", GOOD),
    "no reason": raw(b"HTTP/1.1 200\r\n", GOOD),
    "no length": raw(OK, GOOD),
    "in chunks": raw(OK + b"transfer-encoding: chunked\r\n", b"%x;a=b\r\n%s\r\n0\r\nx: y\r\n\r\n" % (len(GOOD), GOOD)),
    "after others": raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 20 + OK, GOOD),
    "with a charset that is none": raw(
        OK + b"content-type: application/json; charset=punycode\r\n", GOOD[:-1] + b', "x": NaN}'
    ),
    "with a cookie": ServiceFault(raw=answer(200, GOOD, headers={"set-cookie": "a=b; Path=/"})),
}
FAULTY = {
    "silence": ServiceFault(seconds=1.5, raw=answer(200, WRONG)),
    "no HTTP": raw(b"SSH-2.0-OpenSSH\r\n", WRONG),
    "another protocol": raw(b"ICY 200 OK\r\n", WRONG),
    "no number": raw(b"HTTP/1.1 OK\r\n", WRONG),
    "a number that does not exist": raw(b"HTTP/1.1 999 ?\r\n", WRONG),
    "switching protocols": raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n", WRONG),
    "garbage in chunks": raw(OK + b"transfer-encoding: chunked\r\n", b"zz\r\n" + WRONG),
    "a huge chunk": raw(OK + b"transfer-encoding: chunked\r\n", b"f" * 30 + b"\r\n" + WRONG),
    "a coding that does not exist": raw(OK + b"transfer-encoding: gzip, rot13\r\n", WRONG),
    "two lengths": raw(OK + b"content-length: 5\r\ncontent-length: 6\r\n", WRONG),
    "a long length": raw(OK + b"content-length: " + b"9" * 5000 + b"\r\n", WRONG),
    "a negative length": raw(OK + b"content-length: -1\r\n", WRONG),
    "a length in other digits": raw(OK + "content-length: ²\r\n".encode("latin-1"), WRONG),
    "too short": raw(OK + b"content-length: 1000\r\n", WRONG),
    "many headers": raw(OK + b"x-a: b\r\n" * 30_000, WRONG),
    "a long header": raw(OK + b"x-a: " + b"b" * 300_000 + b"\r\n", WRONG),
    "a zero in a header": raw(OK + b"x-a: \x00\r\n", WRONG),
    "compressed": ServiceFault(raw=answer(200, gzip.compress(WRONG), headers={"content-encoding": "gzip"})),
    "a bomb": ServiceFault(raw=answer(200, gzip.compress(b" " * 10**7), headers={"content-encoding": "gzip"})),
    "moved without a place": says(301, b""),
    "moved to no place": says(308, b"", location="http://[::1"),
}


@pytest.mark.parametrize("name", [*READ, *FAULTY])
async def test_a_poll_is_read_or_repeated(name: str) -> None:
    service = FakeService({"test/echo": echo})
    rules = {"timeout_seconds": 0.7} if name == "silence" else {}
    async with serve(service) as server, open_provider(server.url, "replicate", rules=rules) as provider:
        handle = await provider.submit(work_of("echo", "good", "p1"))
        service.plan("read", {**READ, **FAULTY}[name])
        said: list[Progress] = []
        outcome = await asyncio.wait_for(provider.follow(handle, said.append), 60)
        assert (outcome.status, outputs(said)) == ("succeeded", ["good"])
        reads = [asked for asked in service.asked if kind_of(asked) == "read"]
        assert len(reads) == (1 if name in READ else 4)
        assert all("cookie" not in asked.headers for asked in service.asked)


@pytest.mark.parametrize("name", FAULTY)
async def test_a_create_with_such_an_answer_has_begun_nothing_twice(name: str) -> None:
    service = FakeService({"test/echo": echo}, style="cometapi")  # it cannot be asked what became of the create
    rules = {"timeout_seconds": 0.7} if name == "silence" else {}
    async with serve(service) as server, open_provider(server.url, "cometapi", rules=rules) as provider:
        service.plan("create", FAULTY[name])
        with pytest.raises(OutcomeUnknown):
            await provider.submit(work_of("echo", "good", "p1"))
        assert [kind_of(asked) for asked in service.asked] == ["create"]
        assert provider.report().unknown == 1


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_the_token_is_not_sent_to_where_an_answer_leads(status: int) -> None:
    service, other = FakeService({"test/echo": echo}), FakeService({"test/echo": echo})
    async with (
        serve(service) as server,
        serve(other) as there,
        open_provider(server.url, "replicate", rules={"look_seconds": 0.1}) as provider,
    ):
        for kind in ("create", "list", "model", "upload", "read", "cancel"):
            service.plan(kind, says(status, b"", location=there.url), says(200, b"", refresh=f"0;url={there.url}"))
        asks: list[Any] = [
            provider.submit(work_of("echo", "a", "p1")),
            provider.adopt(work_of("echo", "a", "p2"), "known"),
            provider.submit(work_of("echo", "data:text/plain;base64," + "QUJD" * 100_000, "p3")),
        ]
        for asked in asks:
            try:
                await asked
            except (OutcomeUnknown, ProviderBusy, SubmitRefused):
                pass
        assert service.asked
        assert other.asked == []
