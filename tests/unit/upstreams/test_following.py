"""What a service shows of a run, however odd, becomes one ordered report with one end."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from halley.dispatch.ports import LogText, MetricValue, Outcome, OutputPart, Progress
from halley.predictions.submits import UNKNOWN_REASON
from halley.testing.providers import logs, outputs, work_of
from halley.testing.replicate.faults import HTML, ServiceFault, says
from halley.testing.replicate.opening import open_provider
from halley.testing.replicate.scripts import Script, Stage
from halley.testing.replicate.server import serve
from halley.testing.replicate.service import TOKEN, FakeService, kind_of

pytestmark = pytest.mark.anyio

FILE = "https://replicate.delivery/x/out-0.png"
ITERATOR = {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"}
FILES = {"type": "array", "items": {"type": "string", "format": "uri"}}

STARTS = Stage(status="starting")


def document(output: dict[str, Any]) -> bytes:
    return json.dumps({"components": {"schemas": {"Input": {}, "Output": output}}}).encode()


def script(*stages: Stage) -> Script:
    return lambda _: list(stages)


def ends(output: Any, **more: Any) -> Stage:
    return Stage(status="succeeded", output=output, **more)


async def followed(
    *stages: Stage,
    faults: Sequence[ServiceFault] = (),
    schema: bytes = b"",
    style: Any = "replicate",
    created: Stage | None = STARTS,
) -> tuple[list[Progress], Outcome, FakeService]:
    """`created`: what the answer to the create shows; None: the first of the stages."""
    shown = stages if created is None else (created, *stages)
    service = FakeService({"test/echo": script(*shown)}, style=style)
    async with serve(service) as server, open_provider(server.url, style, documents={"echo": schema}) as provider:
        handle = await provider.submit(work_of("echo", "a", "p1"))
        service.plan("read", *faults)
        said: list[Progress] = []
        return said, await asyncio.wait_for(provider.follow(handle, said.append), 60), service


def links(said: list[Progress]) -> list[Any]:
    return [part.links for part in said if isinstance(part, OutputPart)]


@pytest.mark.parametrize(
    ("output", "schema", "values", "places"),
    [
        ("hello", b"", ["hello"], [()]),
        (FILE, b"", [FILE], [((),)]),
        ([FILE, FILE], b"", [FILE, FILE], [((),), ((),)]),
        ([FILE, FILE], document(FILES), [[FILE, FILE]], [((0,), (1,))]),
        ({"image": FILE, "more": {"m": [FILE]}, "n": 3}, b"", None, [(("image",), ("more", "m", 0))]),
        (42, b"", [42], [()]),
        (False, b"", [False], [()]),
        ("", b"", [""], [()]),
        ([], b"", [[]], [()]),
        ([1, 2.5], b"", [[1, 2.5]], [()]),
        ([None, FILE, None], b"", [[None, FILE, None]], [((1,),)]),
        ([[FILE], [[FILE]]], b"", None, [((0, 0), (1, 0, 0))]),
        (["The ", "https://", "example", ".com"], b"", ["The ", "https://", "example", ".com"], [()] * 4),
        (f"see {FILE} for more", b"", [f"see {FILE} for more"], [()]),
        ("data:text/plain,hi", b"", ["data:text/plain,hi"], [()]),
        ("https://example.com/", document({"type": "string"}), ["https://example.com/"], [()]),
        ("https://example.com/page", document({"type": "string"}), ["https://example.com/page"], [()]),
        ("https://example.com/page", document({"type": "string", "format": "uri"}), None, [((),)]),
        (FILE, document({"type": "string"}), [FILE], [((),)]),  # never shown as a link of the service
        (["https://example.com/a", "is", "good"], b"", ["https://example.com/a", "is", "good"], [()] * 3),
        (["see", "https://example.com/a"], b"", ["see", "https://example.com/a"], [()] * 2),
        (["see", FILE], b"", ["see", FILE], [(), ((),)]),
        (["https://example.com/a", "https://example.com/b"], b"", None, [((),), ((),)]),
        ({"a": ["https://example.com/a", "x"], "b": "https://example.com/b"}, b"", None, [(("b",),)]),
        (["a", "b"], document(ITERATOR), ["a", "b"], [(), ()]),
        ([{"a": 1}], document(ITERATOR), [{"a": 1}], [()]),
        (["http://[::1"], b"", ["http://[::1"], [()]),
        ([f" {FILE}", f"{FILE}\n"], b"", [FILE, FILE], [((),), ((),)]),
    ],
)
async def test_outputs_and_their_links(output: Any, schema: bytes, values: Any, places: Any) -> None:
    said, outcome, _ = await followed(Stage(status="processing"), ends(output), schema=schema)
    assert outcome.status == "succeeded"
    in_items = isinstance(output, list) and bool(output) and isinstance(output[0], str)
    assert outputs(said) == ((output if in_items else [output]) if values is None else values)
    assert links(said) == places


async def test_logs_output_and_metrics_as_they_grow() -> None:
    said, outcome, _ = await followed(
        Stage(status="starting"),
        Stage(status="processing", logs="one\n"),
        Stage(status="processing", logs="one\ntwo\n", output=["a"]),
        Stage(status="processing", logs="", output=None),
        ends(["a", "b"], logs="one\ntwo\n3", metrics={"predict_time": 1.5, "total_time": 2, "tokens": 3, "x": None}),
    )
    assert [item.text for item in said if isinstance(item, LogText)] == ["one\n", "two\n", "3"]
    assert outputs(said) == ["a", "b"]
    assert [(item.name, item.value) for item in said if isinstance(item, MetricValue)] == [("tokens", 3)]
    assert outcome == Outcome(status="succeeded", predict_time=1.5)


@pytest.mark.parametrize(
    ("stage", "status", "error"),
    [
        (Stage(status="failed", error="NSFW"), "failed", "NSFW"),
        (Stage(status="failed", error={"code": "E1", "message": "boom"}), "failed", "boom"),
        (Stage(status="failed", error=["a"]), "failed", '["a"]'),
        (Stage(status="failed"), "failed", "The service gave no reason."),
        (Stage(status="Failed", error="x"), "failed", "x"),
        (Stage(status="canceled"), "canceled", "The run was canceled at its service."),
        (Stage(status="cancelled"), "canceled", "The run was canceled at its service."),
        (Stage(status="aborted"), "canceled", "The run was canceled at its service."),
        (Stage(status="successful", output="x"), "succeeded", None),
    ],
)
async def test_ends(stage: Stage, status: str, error: str | None) -> None:
    _, outcome, _ = await followed(Stage(status="processing"), stage)
    assert (outcome.status, outcome.error, outcome.reason) == (status, error, None)


async def test_the_first_end_counts_and_words_that_do_not_exist_are_no_end() -> None:
    said, outcome, service = await followed(
        Stage(status="queued"),
        Stage(status="SUCCESS?"),
        Stage(status="completed", output="x"),
        Stage(status="processing"),
        Stage(status="starting"),
        Stage(status="failed", error="first"),
        ends("late"),
    )
    assert (outcome.status, outcome.error, outputs(said)) == ("failed", "first", [])
    assert sum(kind_of(asked) == "read" for asked in service.asked) == 7


async def test_an_output_after_the_end_is_waited_for_and_none_is_accepted() -> None:
    said, _, _ = await followed(ends(None), ends(None), ends([FILE]))
    assert outputs(said) == [FILE]
    said, outcome, _ = await followed(ends(None))
    assert (said, outcome.status) == ([], "succeeded")


@pytest.mark.parametrize(
    "fault",
    [
        ServiceFault(cut="body"),
        ServiceFault(cut="answer", acts=True),
        ServiceFault(cut="middle", acts=True),
        says(500, {"error": "boom"}),
        says(502, HTML, kind="text/html"),
        says(503, HTML, kind="text/html"),
        says(504, HTML, kind="text/html"),
        says(524, HTML, kind="text/html"),
        says(429, {"detail": "slowly"}, retry_after="1"),
        says(200, HTML, kind="text/html"),
        says(200, b""),
        says(200, b"null"),
        says(200, {"status": "succeeded", "id": "another", "output": "wrong"}),
        says(200, {"status": "", "output": "wrong"}),
        says(200, {"output": "wrong"}),
        says(200, {"error": {"code": "task_not_exist", "message": "task not found"}}),
        says(200, b'{"id":"x","status":"succ'),
        says(301, b"", location="/v1/predictions"),
        says(401, {"detail": "revoked"}),
        says(404, {"detail": "not yet"}),
    ],
)
async def test_a_poll_that_fails_is_repeated(fault: ServiceFault) -> None:
    said, outcome, _ = await followed(Stage(status="processing"), ends("good"), faults=[fault, fault])
    assert (outcome.status, outputs(said)) == ("succeeded", ["good"])


async def test_a_service_that_forgot_the_run_leaves_it_unknown() -> None:
    gone = says(404, {"detail": "not found"})
    _, outcome, service = await followed(ends("x"), faults=[gone] * 10)
    assert (outcome.status, outcome.reason) == ("failed", UNKNOWN_REASON)
    assert sum(kind_of(asked) == "create" for asked in service.asked) == 1


async def test_a_removed_output_is_a_failure() -> None:
    removed = says(200, {"status": "succeeded", "output": None, "data_removed": True})
    _, outcome, _ = await followed(Stage(status="processing"), faults=[removed])
    assert (outcome.status, outcome.reason) == ("failed", "upstream_output_gone")


HALF_EMOJI = b'"\\ud83d"'  # what a program writes that cuts texts between two UTF-16 units


@pytest.mark.parametrize(
    ("member", "raw", "value"),
    [
        ("output", HALF_EMOJI, "?"),
        ("output", b'{"a":[' + HALF_EMOJI + b',"caf\\u00e9 \\ud83d\\ude00"]}', {"a": ["?", "caf\u00e9 \U0001f600"]}),
        ("logs", HALF_EMOJI, "?"),
        ("error", HALF_EMOJI, "?"),
        ("error", b'{"a":' + HALF_EMOJI + b"}", '{"a":"?"}'),
        ("output", b"1e999", None),
        ("output", b"[NaN,-Infinity,1]", [None, None, 1]),
        ("output", b"9" * 5000, None),
        ("output", b"9" * 30, int("9" * 30)),
        ("metrics", b'{"tokens":1e999,"seed":18446744073709551616}', 18446744073709551616),
        ("metrics", b'{"predict_time":1e999,"total_time":"soon","":[],"x":{"y":' + HALF_EMOJI + b"}}", {"y": "?"}),
    ],
)
async def test_values_that_json_cannot_hold_are_replaced(member: str, raw: bytes, value: Any) -> None:
    word = b"failed" if member == "error" else b"succeeded"
    body = b'{"status":"%s","output":"x","%s":%s}' % (word, member.encode(), raw)
    said, outcome, _ = await followed(Stage(status="processing"), faults=[says(200, body)] * 5)
    found = {
        "output": outputs(said)[-1:],
        "logs": [logs(said)],
        "error": [outcome.error],
        "metrics": [item.value for item in said if isinstance(item, MetricValue)][-1:],
    }
    assert outcome.status == word.decode()
    assert found[member] == ([value] if (member, value) != ("output", None) else [])


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"status":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
        b'{"status":"succeeded","output":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xff\xfe{\x00}\x00",
        b"\x00" * 100,
        b'{"status":"succeeded"}{"status":"failed"}',
    ],
)
async def test_answers_that_are_no_json_are_polled_again(body: bytes) -> None:
    said, outcome, _ = await followed(Stage(status="processing"), ends("good"), faults=[says(200, body)])
    assert (outcome.status, outputs(said)) == ("succeeded", ["good"])


@pytest.mark.parametrize(
    "fault",
    [
        says(200, b"x", content_length="10737418240"),
        says(200, b'{"status":"succeeded","output":[' + b"0," * 2_000_001 + b"0]}"),
        says(200, b'{"status":"processing","metrics":{"a":[' + b"0," * 2_000_001 + b"0]}}"),
    ],
)
async def test_an_answer_that_is_too_large_ends_the_following(fault: ServiceFault) -> None:
    said, outcome, service = await followed(Stage(status="processing"), faults=[fault])
    assert (said, outcome.status, outcome.reason) == ([], "failed", "upstream_output_unreadable")
    assert "cannot be read" in (outcome.error or "")
    assert [kind_of(asked) for asked in service.asked] == ["create", "read"]


async def test_a_large_output_has_the_same_parts() -> None:
    words, files = [f"word {number}" for number in range(40_000)], [FILE] * 8000
    said, outcome, _ = await followed(Stage(status="processing", output=words[:30_000]), ends(words))
    assert (outcome.status, outputs(said)) == ("succeeded", words)
    said, outcome, _ = await followed(ends({"files": files, "text": "x"}))
    assert (outputs(said), len(links(said)[0])) == ([{"files": files, "text": "x"}], 8000)


async def test_an_answer_without_a_state_is_shown_to_operators() -> None:
    service = FakeService({"test/echo": script(Stage(status="processing"), ends("x"))})
    async with serve(service) as server, open_provider(server.url, "replicate") as provider:
        handle = await provider.submit(work_of("echo", "a", "p1"))
        service.plan("read", says(200, HTML, kind="text/html"))
        await asyncio.wait_for(provider.follow(handle, [].append), 60)
        [fault] = provider.report().faults
        assert fault.text.startswith(f"It shows no state of {handle}. The service answered this server with 200")


async def test_a_word_that_does_not_exist_is_shown_to_operators_once() -> None:
    stages = [Stage(status=word) for word in ("queued", "SUCCESS", "SUCCESS", "processing")]
    service = FakeService({"test/echo": script(*stages, ends("x"))})
    async with serve(service) as server, open_provider(server.url, "replicate") as provider:
        handle = await provider.submit(work_of("echo", "a", "p1"))
        await asyncio.wait_for(provider.follow(handle, [].append), 60)
        [fault] = provider.report().faults
        assert fault.text == f"It shows the status 'SUCCESS' of {handle}, which does not exist."


async def test_an_envelope_is_opened() -> None:
    said, outcome, _ = await followed(Stage(status="processing"), ends("x"), style="cometapi")
    assert (outcome.status, outputs(said)) == ("succeeded", ["x"])


async def test_only_its_own_host_is_asked_and_has_the_token() -> None:
    _, _, service = await followed(Stage(status="processing", output=[FILE]), ends([FILE]))
    assert all(asked.headers["host"].startswith("127.0.0.1:") for asked in service.asked)
    assert all(asked.headers["authorization"] == f"Bearer {TOKEN}" for asked in service.asked)


async def test_the_token_is_in_no_log_or_error_of_a_run() -> None:
    said, outcome, _ = await followed(
        Stage(status="processing", logs=f"> authorization: {TOKEN}\n"),
        Stage(status="failed", error=f"cannot send {TOKEN}", logs=f"> authorization: {TOKEN}\nend {TOKEN}"),
    )
    assert logs(said) == "> authorization: [token]\nend [token]"
    assert outcome.error == "cannot send [token]"


async def test_an_error_without_end_is_cut() -> None:
    for error in ("e" * 300_000, {"message": "e" * 300_000}):
        _, outcome, _ = await followed(Stage(status="processing"), Stage(status="failed", error=error))
        assert outcome.error == f"{'e' * 10_000}... (cut)"


async def test_the_address_of_the_service_is_in_no_error_of_a_run() -> None:
    service = FakeService({"test/echo": script(STARTS)})
    async with serve(service) as server, open_provider(server.url, "replicate") as provider:
        handle = await provider.submit(work_of("echo", "a", "p1"))
        text = f"see {server.url}/predictions/{handle} and https://example.com/x\nsecond line"
        service.runs[handle].stages[:] = [Stage(status="failed", error=text)]
        outcome = await asyncio.wait_for(provider.follow(handle, [].append), 60)
        assert outcome.error == "see the service and https://example.com/x\nsecond line"


async def test_a_cancel_in_the_first_moment_of_a_run_arrives() -> None:
    service = FakeService({"test/wait": script(Stage(status="processing"))})
    async with serve(service) as server, open_provider(server.url, "replicate") as provider:
        handle = await provider.submit(work_of("wait", "a", "p1"))
        service.plan("cancel", says(404, {"detail": "not found"}))
        provider.cancel(handle)
        outcome = await asyncio.wait_for(provider.follow(handle, [].append), 60)
        assert outcome.status == "canceled"
        assert service.runs[handle].is_canceled


async def test_a_service_that_offers_no_cancel_is_followed_no_longer() -> None:
    service = FakeService({"test/wait": script(Stage(status="processing", logs="x"))}, style="cometapi")
    async with serve(service) as server, open_provider(server.url, "cometapi") as provider:
        handle = await provider.submit(work_of("wait", "a", "p1"))
        provider.cancel(handle)
        said: list[Progress] = []
        outcome = await asyncio.wait_for(provider.follow(handle, said.append), 60)
        assert outcome.status == "canceled"
        assert logs(said) in ("", "x")
        assert provider.report().in_flight == 0


async def test_a_second_follower_gives_the_same_parts() -> None:
    stages = [Stage(status="processing", output=["a"]), Stage(status="processing", output=["a", "b"]), ends(["a", "b"])]
    service = FakeService({"test/echo": script(*stages)})
    async with serve(service) as server:
        reports = []
        for _ in range(2):
            async with open_provider(server.url, "replicate") as provider:
                run = next(iter(service.runs), None)
                work = work_of("echo", "a", "p1")
                handle = await (provider.submit(work) if run is None else provider.adopt(work, run))
                assert handle is not None
                said: list[Progress] = []
                await provider.follow(handle, said.append)
                reports.append(outputs(said))
        assert reports == [["a", "b"], ["a", "b"]]


async def test_a_run_whose_end_the_answer_to_the_create_shows_is_not_asked_for() -> None:
    said, outcome, service = await followed(
        ends("hello", logs="greeting\n", metrics={"predict_time": 0.5}), created=None
    )

    assert (outcome.status, outcome.predict_time) == ("succeeded", 0.5)
    assert outputs(said) == ["hello"]
    assert logs(said) == "greeting\n"
    assert [kind_of(asked) for asked in service.asked] == ["create"]
