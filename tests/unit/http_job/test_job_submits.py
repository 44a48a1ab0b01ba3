"""A create by a job file, under faults: sent once, and "nothing was begun" only where it is proven."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.assets.links import DeliveryLink
from halley.assets.own_inputs import OwnFile
from halley.dispatch.ports import Progress
from halley.dispatch.upstreams import RunFinder
from halley.errors import OutcomeUnknown, ProviderBusy, SubmitRefused
from halley.providers.http_job import creates
from halley.providers.http_job.provider import JobProvider
from halley.testing.http_jobs import PREDICTIONS, open_job
from halley.testing.providers import work_of
from halley.testing.replicate.faults import HTML, ServiceFault, says
from halley.testing.replicate.opening import Answers, Held
from halley.testing.replicate.scripts import echo
from halley.testing.replicate.server import serve
from halley.testing.replicate.service import TOKEN, FakeService, kind_of

pytestmark = pytest.mark.anyio

RULES = """verdicts = [
    { means = "refused", status = [500], at = "/error/code", words = ["invalid_request"] },
    { means = "busy", status = [200], at = "/code", words = [23] },
    { means = "unknown", status = [409] },
]
"""
JOB = PREDICTIONS.replace("[poll]", f"{RULES}\n[poll]")
WITHOUT_LIST = JOB[: JOB.index("[find]")] + JOB[JOB.index("[models") :]

UNKNOWN = {
    "a page": says(200, HTML, kind="text/html"),
    "truncated": says(201, b'{"id": "ab'),
    "nothing": says(204),
    "no id": says(200, {"status": "starting"}),
    "an id that is true": says(200, {"id": True}),
    "an id with a fraction": says(200, {"id": 1.5}),
    "an id that is a list": says(200, {"id": ["a"]}),
    "an id that is null": says(200, {"id": None}),
    "an empty id": says(200, {"id": ""}),
    "an id that leads up": says(200, {"id": ".."}),
    "an id with a line break": says(200, {"id": "a\r\nb"}),
    "a long id": says(200, {"id": "a" * 201}),
    "a list": says(200, [{"id": "a"}]),
    "moved": says(307, b"", location="http://127.0.0.1:9/predictions"),
    "timed out": says(408),
    "bad gateway": says(502, HTML, kind="text/html"),
    "timed out behind a proxy": says(524),
    "another error": says(500, {"error": {"code": "boom"}}),
    "a 4xx that the file does not trust": says(409, {"detail": "a run exists"}),
    "cut": ServiceFault(cut="answer"),
    "cut in the request": ServiceFault(cut="body"),
    "a huge answer": says(200, b'{"id": "a", "pad": "' + b"x" * 70_000 + b'"}'),
}
NOT_BEGUN: dict[str, tuple[ServiceFault, type[Exception], str]] = {
    "malformed": (says(400, {"error": {"message": "no prompt"}}), SubmitRefused, "no prompt"),
    "token revoked": (says(401, {"error": f"the token {TOKEN} is revoked"}), SubmitRefused, "revoked"),
    "no credit": (says(402, {"detail": "no"}), SubmitRefused, "no"),
    "unknown model": (says(404, HTML, kind="text/html"), SubmitRefused, "404"),
    "throttled": (says(429, {"detail": "slow down"}), ProviderBusy, "slow down"),
    "a code that proves it": (says(500, {"error": {"code": "invalid_request"}}), SubmitRefused, "500"),
    "a full queue with status 200": (says(200, {"code": 23, "error": "queue is full"}), ProviderBusy, "queue is full"),
}


class World:
    def __init__(self, provider: JobProvider, service: FakeService, answers: Answers) -> None:
        self.provider, self.service, self.answers = provider, service, answers

    @property
    def posts(self) -> int:
        return sum(kind_of(asked) == "create" for asked in self.service.asked)


@asynccontextmanager
async def world(job: str = JOB, **options: Any) -> AsyncIterator[World]:
    service, answers = FakeService({"test/echo": echo}), Answers()
    job += "[limits]\nanswer_bytes = 65536\n"
    async with serve(service) as server, open_job(job, server.url, answers=answers, **options) as provider:
        yield World(provider, service, answers)


@pytest.mark.parametrize("fault", UNKNOWN)
async def test_what_proves_nothing_is_unknown_and_not_sent_again(fault: str) -> None:
    async with world(WITHOUT_LIST) as here:
        here.service.plan("create", UNKNOWN[fault])
        with pytest.raises(OutcomeUnknown):
            await here.provider.submit(work_of("echo", "a", "p1"))
        assert here.posts == 1
        assert here.provider.report().unknown == 1


@pytest.mark.parametrize("fault", NOT_BEGUN)
async def test_what_proves_that_nothing_was_begun(fault: str) -> None:
    given, kind, words = NOT_BEGUN[fault]
    async with world() as here:
        here.service.plan("create", given)
        with pytest.raises(kind, match=words) as caught:
            await here.provider.submit(work_of("echo", "a", "p1"))
        assert TOKEN not in str(caught.value) + str(here.provider.report().faults)
        assert (here.posts, here.provider.report().unknown) == (1, 0)
        assert here.answers.heard == [True]  # also a 500 that a rule explains is an answer
        assert (here.provider.report().paused_seconds > 0) == (kind is ProviderBusy)


async def test_nobody_at_the_address_means_that_nothing_was_begun() -> None:
    async with open_job(JOB, "http://127.0.0.1:9/v1") as provider:
        with pytest.raises(ProviderBusy):
            await provider.submit(work_of("echo", "a", "p1"))


async def test_an_input_that_no_url_can_hold_is_refused_and_says_nothing_about_the_service() -> None:
    job = JOB.replace('/predictions"\nbody', '/predictions?text={input.text}"\nbody', 1)
    assert job != JOB
    async with world(job) as found:
        with pytest.raises(SubmitRefused, match="7000 characters"):
            await found.provider.submit(work_of("echo", "a" * 9000, "p1"))
        assert (found.posts, found.answers.heard) == (0, [])


@pytest.mark.parametrize("sizes", [(6, 6), (11,), (4, 4, 3)])
async def test_the_files_of_a_form_are_limited_together(
    sizes: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(creates, "UPLOAD_LIMIT_BYTES", 10)
    paths = [tmp_path / f"{number}.bin" for number in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(b"x" * size)
    given = msgspec.json.encode({"text": [str(path) for path in paths]})
    places = tuple(("text", number) for number in range(len(paths)))
    work = msgspec.structs.replace(work_of("echo", "a", "p1"), input=given, paths=places)
    form = JOB.replace('body = { input = "{input}" }', 'encoding = "multipart"\nbody = { text = "{input.text}" }')
    form = form.replace("input = { text = {} }", 'input = { text = { type = "file", list = true } }')
    async with world(form) as found:
        with pytest.raises(SubmitRefused, match="more than 10 bytes together"):
            await found.provider.submit(work)
        assert found.posts == 0


async def test_a_whole_number_is_an_id() -> None:
    async with world() as here:
        here.service.plan("create", says(200, {"id": 7}))
        assert await here.provider.submit(work_of("echo", "a", "p1")) == "7"


async def test_a_lost_create_is_found_in_the_list_by_what_was_sent() -> None:
    async with world() as here:
        here.service.begin("test/echo", {"text": "other"})
        here.service.plan("create", ServiceFault(acts=True, cut="answer"))
        handle = await here.provider.submit(work_of("echo", "a", "p1"))
        assert here.service.runs[handle].input == {"text": "a"}
        assert (here.posts, here.provider.report().unknown) == (1, 0)


async def test_two_runs_that_look_the_same_stay_unknown_and_one_of_another_prediction_is_left_out() -> None:
    held = Held()
    async with world(taken=held) as here:
        other = here.service.begin("test/echo", {"text": "a"}).id
        here.service.plan("create", *[ServiceFault(acts=True, cut="answer")] * 2)
        with pytest.raises(OutcomeUnknown, match="2 runs"):
            await here.provider.submit(work_of("echo", "a", "p1"))
        held.handles |= {other, list(here.service.runs)[1]}
        assert await here.provider.submit(work_of("echo", "a", "p2")) == list(here.service.runs)[2]
        assert isinstance(here.provider, RunFinder)
        assert await here.provider.has_run(other)
        assert not await here.provider.has_run("none")


@pytest.mark.parametrize("is_unique", [True, False])
async def test_an_id_that_another_service_gave_to_another_prediction_proves_nothing(is_unique: bool) -> None:
    held = Held()
    held.handles.add("7")
    find = (
        RECENT if is_unique else RECENT.replace("{prediction.id}", "{input.text}").replace('at = "/tag', 'at = "/text')
    )
    async with world(job_with(f'{find}\nnext = "/next"\ncreated_at = "/at"'), held=held) as here:
        here.service.plan("create", says(502))
        now = datetime.now(UTC).isoformat()
        here.service.plan(
            "list", says(200, {"results": [{"id": 7, "tag": "p1", "text": "a", "at": now}], "next": None})
        )
        if is_unique:
            assert await here.provider.submit(work_of("echo", "a", "p1")) == "7"
        else:
            with pytest.raises(OutcomeUnknown, match="could be this one"):
                await here.provider.submit(work_of("echo", "a", "p1"))


async def test_a_create_that_is_not_in_the_list_was_not_begun_only_if_the_file_says_so() -> None:
    async with world() as here:
        here.service.plan("create", says(502))
        with pytest.raises(ProviderBusy, match="has begun nothing"):
            await here.provider.submit(work_of("echo", "a", "p1"))
        assert await here.provider.find_begun(work_of("echo", "a", "p1"), 30.0) is None
    async with world(JOB.replace("settle_seconds = 0\n", ""), rules={"look_seconds": 0.5}) as here:
        here.service.plan("create", says(502))
        with pytest.raises(OutcomeUnknown, match="may still appear"):
            await here.provider.submit(work_of("echo", "a", "p1"))


@pytest.mark.parametrize("word", ["create", "list"])
async def test_a_token_that_is_replaced_before_it_is_found_proves_nothing(word: str) -> None:
    async with world() as here:
        here.service.plan("create", ServiceFault(cut="answer", seconds=0.1))
        here.service.plan("list", ServiceFault(acts=True, seconds=0.1))
        lost = asyncio.ensure_future(here.provider.submit(work_of("echo", "a", "p1")))
        while not any(kind_of(asked) == word for asked in here.service.asked):
            await asyncio.sleep(0)
        here.provider.place = "of another account"
        with pytest.raises(OutcomeUnknown, match="token was replaced"):
            await lost
        assert (here.posts, len(here.service.runs), here.provider.report().unknown) == (1, 0, 1)


UNIQUE = JOB.replace(
    '{ at = "/input", equals = "{input}" }', '{ at = "/input/text", equals = "{prediction.id}" }'
).replace('next = "/next"\n', "")


@pytest.mark.parametrize("others", [0, 3])
async def test_a_list_of_the_last_runs_without_pages_proves_nothing_about_an_older_one(others: int) -> None:
    async with world(UNIQUE, rules={"look_seconds": 0.5}) as here:
        for number in range(others):
            here.service.begin("test/echo", {"text": f"another-{number}"})
        here.service.plan("create", says(502))
        with pytest.raises(OutcomeUnknown if others else ProviderBusy):
            await here.provider.submit(work_of("echo", "a", "p1"))
        here.service.begin("test/echo", {"text": "p2"})
        assert await here.provider.adopt(work_of("echo", "a", "p2"), None) == list(here.service.runs)[-1]


@pytest.mark.parametrize("is_lost", [False, True])
async def test_a_route_that_is_removed_during_the_submit_loses_no_run(is_lost: bool) -> None:
    async with world() as here:
        here.service.plan("create", ServiceFault(acts=True, seconds=0.1, cut="answer" if is_lost else None))
        submit = asyncio.ensure_future(here.provider.submit(work_of("echo", "a", "p1")))
        while not here.service.runs:
            await asyncio.sleep(0)
        here.provider._dependencies = msgspec.structs.replace(here.provider._dependencies, find_target=lambda _: None)
        handle = await submit
        assert handle in here.service.runs
        said: list[Progress] = []
        assert (await here.provider.follow(handle, said.append)).status == "succeeded"


async def test_a_list_that_cannot_be_read_proves_nothing() -> None:
    async with world(rules={"look_seconds": 0.5}) as here:
        here.service.plan("create", says(502))
        here.service.plan("list", says(200, HTML, kind="text/html"))
        with pytest.raises(OutcomeUnknown, match="no items"):
            await here.provider.submit(work_of("echo", "a", "p1"))


async def test_an_id_that_another_prediction_has_is_unknown() -> None:
    async with world() as here:
        first = await here.provider.submit(work_of("echo", "a", "p1"))
        here.service.plan("create", says(201, {"id": first}))
        with pytest.raises(OutcomeUnknown, match="another prediction"):
            await here.provider.submit(work_of("echo", "b", "p2"))


async def test_creates_are_spread_over_time_where_the_file_says_so() -> None:
    text = JOB + "[limits]\ncreates_per_minute = 60\n"
    service = FakeService({"test/echo": echo})
    async with serve(service) as server, open_job(text, server.url) as provider:
        await provider.submit(work_of("echo", "a", "p1"))
        with pytest.raises(ProviderBusy, match="creates_per_minute"):
            await provider.submit(work_of("echo", "b", "p2"))
        assert 0 < provider.report().paused_seconds <= 1
        assert len(service.runs) == 1


async def test_the_token_is_where_the_file_says_and_goes_nowhere_else() -> None:
    text = JOB + '[auth]\nheader = "x-api-key"\nscheme = ""\n'
    service = FakeService({"test/echo": echo})
    async with serve(service) as server, open_job(text, server.url) as provider:
        with pytest.raises(SubmitRefused):
            await provider.submit(work_of("echo", "a", "p1"))
        provider.use_token("another")
        with pytest.raises(SubmitRefused):
            await provider.submit(work_of("echo", "a", "p1"))
    headers = [(asked.headers.get("x-api-key"), asked.headers.get("authorization")) for asked in service.asked]
    assert headers == [(TOKEN, None), ("another", None)]


def job_with(find: str) -> str:
    """The job with another list, whose requests have our own id."""
    return JOB[: JOB.index("[find]")] + f"[find]\n{find}\n" + JOB[JOB.index("[models") :]


FILTERED = """path = "/predictions?tag={prediction.id}"
items = "/results"
id = "/id"
match = [{ at = "/tag", equals = "{prediction.id}" }]
settle_seconds = 0"""
RECENT = FILTERED.replace("?tag={prediction.id}", "")
PAGED = RECENT.replace("settle", 'cursor = "/after"\nnext_path = "/predictions?cursor={cursor}"\nsettle')
MINE = {"id": "mine", "tag": "p1"}
OTHERS = [{"id": f"other{number}", "tag": f"p{number}"} for number in range(2, 9)]


@pytest.mark.parametrize(
    ("find", "pages", "expected"),
    [
        (FILTERED, [[MINE]], "mine"),
        (FILTERED, [[]], ProviderBusy),  # it would be there
        (FILTERED, [OTHERS], OutcomeUnknown),  # the service does not know this filter
        (RECENT, [[*OTHERS, MINE]], "mine"),
        (RECENT, [OTHERS], OutcomeUnknown),  # it may be on a page that cannot be asked for
        (PAGED, [OTHERS, [MINE]], "mine"),
        (PAGED, [OTHERS, OTHERS], ProviderBusy),
        (PAGED, [[MINE], [{**MINE, "id": "twice"}]], OutcomeUnknown),
    ],
)
async def test_a_list_proves_something_only_if_it_was_read_whole(
    find: str, pages: list[list[dict[str, Any]]], expected: Any
) -> None:
    async with world(job_with(find), rules={"look_seconds": 0.5}) as here:
        here.service.plan("create", says(502))
        more = [{"after": f"c{number}"} for number in range(1, len(pages))]
        answers = [{"results": rows, **after} for rows, after in zip(pages, [*more, {}], strict=True)]
        here.service.plan("list", *[says(200, one) for one in answers])
        if isinstance(expected, str):
            assert await here.provider.submit(work_of("echo", "a", "p1")) == expected
        else:
            with pytest.raises(expected):
                await here.provider.submit(work_of("echo", "a", "p1"))
        asked = [one.path for one in here.service.asked if kind_of(one) == "list"]
        assert [path.partition("cursor=")[2] for path in asked] == ["", *(one["after"] for one in more)]


async def test_a_run_without_a_time_that_looks_the_same_is_not_taken() -> None:
    async with world() as here:
        here.service.plan("create", says(502))
        old = {"id": "old", "model": "test/echo", "input": {"text": "a"}}
        here.service.plan("list", says(200, {"results": [old], "next": None}))
        with pytest.raises(OutcomeUnknown, match="could be this one"):
            await here.provider.submit(work_of("echo", "a", "p1"))
        for link in ("https://evil.example/list", "http://[::1"):
            here.service.plan("list", says(200, {"results": [], "next": link}))
            with pytest.raises(OutcomeUnknown, match="no query"):
                await here.provider.adopt(work_of("echo", "a", "p1"), None)


async def test_a_time_that_is_no_time_is_none() -> None:
    async with world() as here:
        times = (10**400, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
        rows = [{"id": "old", "model": "test/echo", "input": {"text": "b"}, "created_at": at} for at in times]
        for year in ("9999", "99999999999"):
            here.service.plan(
                "list", says(200, {"results": rows, "next": None}, date=f"Fri, 31 Dec {year} 23:59:59 GMT")
            )
            assert await here.provider.find_begun(work_of("echo", "a", "p1"), 30.0) is None


class Own:
    """A file of this server, at any link of it."""

    async def find(self, link: str, *, prediction_id: str, account_id: str) -> OwnFile | None:
        del prediction_id, account_id
        file = OwnFile(name="a.png", content_type="image/png", sha256="", link=DeliveryLink(capability="ours"))
        return file if link.startswith("http://127.0.0.1") else None

    async def public_path(self, file: OwnFile) -> str:
        return f"/d/{file.name}"

    async def read(self, file: OwnFile, limit_bytes: int) -> bytes:
        return b"x" * 90


PICTURE = JOB.replace("input = { text = {} }", 'input = { text = { type = "file" } }', 1)
OURS, THEIRS = "http://127.0.0.1:1986/d/ours/a.png", "https://example.com/a.png"


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ({}, f"data:image/png;base64,{b64encode(b'x' * 90).decode()}"),
        ({"input_links": True}, "https://halley.example/x/d/a.png"),
        ({"data_url_bytes": 100}, None),
    ],
)
async def test_a_file_of_this_server_is_sent_as_a_data_url_or_a_link(rules: dict[str, Any], found: str | None) -> None:
    links = {"own_inputs": Own(), "public_url": "https://halley.example/x"}
    async with world(PICTURE, rules=rules, dependencies=links) as here:
        if found is None:
            with pytest.raises(SubmitRefused, match="data_url_bytes"):
                await here.provider.submit(work_of("echo", OURS, "p1"))
        else:
            await here.provider.submit(work_of("echo", OURS, "p1"))
        await here.provider.submit(work_of("echo", THEIRS, "p2"))
        sent = [run.input["text"] for run in here.service.runs.values()]
        assert sent == [*([] if found is None else [found]), THEIRS]
