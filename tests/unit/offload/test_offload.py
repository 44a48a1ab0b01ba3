"""The process that reads large JSON says what would be said here, and is replaced when it breaks."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.assets.inputs import check_all
from halley.errors import BadRequest, HalleyError, InputInvalid, Overloaded, TooLarge
from halley.models.validation import InputSchema
from halley.offload import process as offload
from halley.offload.process import JsonProcess
from halley.settings import LimitSettings

pytestmark = pytest.mark.anyio
LIMITS = LimitSettings(json_values=100_000)
DOCUMENT = msgspec.json.encode(
    {
        "components": {
            "schemas": {
                "Input": {
                    "type": "object",
                    "properties": {
                        "items": {"type": "array", "items": {"type": "string"}},
                        "file": {"type": "string", "format": "uri"},
                        "files": {"type": "array", "items": {"type": "string", "format": "uri"}},
                        "token": {"type": "string", "x-cog-secret": True},
                    },
                }
            }
        }
    }
)


@pytest.fixture
async def json_process() -> AsyncIterator[JsonProcess]:
    async with JsonProcess(dict(os.environ), inline_data_bytes=1000) as process:
        yield process


async def test_a_body_is_read_as_here(json_process: JsonProcess) -> None:
    members = {"version": "acme/free", "input": {"b": [1, 2], "a": "é"}, "odd": "x" * 10, "context": {"k": "v"}}
    body = msgspec.json.encode(members)
    outline = await json_process.parse(body, LIMITS, digest_head=b"head")
    assert body[outline.start : outline.end] == msgspec.json.encode(members["input"])
    assert outline.digest == sha256(b"head" + msgspec.json.encode(members, order="sorted")).digest()
    short = msgspec.json.decode(outline.members)
    assert short == {"version": "acme/free", "input": None, "odd": None, "context": {"k": "v"}}
    for given, kind in ((None, "absent"), ({}, "object"), ([], "other")):
        outline = await json_process.parse(msgspec.json.encode({"input": given}), LIMITS, digest_head=None)
        assert (outline.input_kind, outline.digest) == (kind, None)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"[]", BadRequest),
        (b'{"a":1,"a":2}', BadRequest),
        (b'{"a":"' + b'\\"' * 100_000, BadRequest),
        (b'{"a":[' + b"1," * 100_000 + b"1]}", TooLarge),
        (b'{"a":18446744073709551616}', InputInvalid),
        (b'{"input":{"a":"data:,' + b"x" * 2000 + b'"}}', TooLarge),
        (b'{"context":{"a":"' + b"x" * 2**21 + b'"}}', InputInvalid),
    ],
)
async def test_a_wrong_body_is_refused_as_here(
    json_process: JsonProcess, body: bytes, error: type[HalleyError]
) -> None:
    with pytest.raises(error) as refused:
        await json_process.parse(body, LIMITS, digest_head=None)
    assert str(refused.value)


async def test_an_input_is_looked_at_as_here(json_process: JsonProcess) -> None:
    async def look(value: Any) -> Any:
        given = msgspec.json.encode(value)
        return await json_process.examine("v", DOCUMENT, given, strict=False, most=100)

    wrong = {"items": [1] * 5000}
    assert (await look(wrong)).faults == InputSchema(DOCUMENT).faults(wrong)
    found = await look({"items": ["a"], "file": "https://a.example/x", "token": "s3cret", "other": 1})
    assert (found.faults, found.unknown, found.links) == ((), ("other",), ((("file",), "https://a.example/x"),))
    assert b"s3cret" not in found.shown
    with pytest.raises(InputInvalid, match=r"input\.file"):
        await look({"file": "data:;base64,=!="})
    with pytest.raises(InputInvalid):
        check_all([(("file",), "data:;base64,=!=")], 1000)
    many = await look({"files": ["https://a.example/x"] * 10_001})
    assert [fault.type for fault in many.faults] == ["files"]
    undescribed = await json_process.examine("w", b"", b'{"text":"x"}', strict=False, most=100)
    assert undescribed.shown == b'{"text":"[REDACTED]"}'


async def test_texts_are_found_and_replaced(json_process: JsonProcess) -> None:
    value = b'{"a":[1,"x"],"b":{"c":"y"}}'
    assert list(await json_process.texts(value, [("a", 1), ("b", "c"), ("a", 0), ("z",)])) == ["x", "y", None, None]
    assert await json_process.fill(value, [(("a", 1), "new"), (("b", "c"), "too")]) == (
        b'{"a":[1,"new"],"b":{"c":"too"}}'
    )
    given = b'{"files":["https://a.example/1","data:,x"]}'
    assert [link for _, link in await json_process.links("v", DOCUMENT, given)] == ["https://a.example/1", "data:,x"]


async def test_a_process_that_ends_is_replaced(json_process: JsonProcess) -> None:
    await json_process.fill(b"{}", [])
    child, _ = json_process._running  # type: ignore[misc]
    child.kill()
    with pytest.raises(Overloaded):
        await json_process.fill(b"{}", [])
    assert await json_process.fill(b"{}", []) == b"{}"
    assert json_process._running is not None
    assert json_process._running[0].pid != child.pid


async def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offload, "REPLY_SECONDS", 0.0001)
    async with JsonProcess(dict(os.environ), inline_data_bytes=1000) as process:
        with pytest.raises(Overloaded, match="in time"):
            await process.fill(b"{}", [])
        assert process._running is None


async def test_an_idle_process_ends(json_process: JsonProcess) -> None:
    await json_process.fill(b"{}", [])
    child, _ = json_process._running  # type: ignore[misc]
    json_process._end_if_idle()
    assert not Path(f"/proc/{child.pid}").exists()
    assert await json_process.fill(b"{}", []) == b"{}"


async def test_the_answer_to_one_who_was_cancelled_is_not_given_to_the_next(json_process: JsonProcess) -> None:
    def ask(text: str) -> asyncio.Future[Any]:
        value = msgspec.json.encode({"text": text, "more": [0] * 2_000_000})  # more than a socket takes at once
        return asyncio.ensure_future(json_process.texts(value, [("text",)]))

    await ask("the process has started")
    child, _ = json_process._running  # type: ignore[misc]
    child.send_signal(signal.SIGSTOP)
    first = ask("first")
    await asyncio.sleep(0.2)  # on its way
    first.cancel()
    second = ask("second")
    await asyncio.sleep(0.2)
    child.send_signal(signal.SIGCONT)
    assert await second == ("second",)
    assert await ask("third") == ("third",)
