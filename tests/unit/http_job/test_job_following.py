"""What a service shows of a task, however odd, becomes one report with one end; a content route gives its file."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from job_standins import TOKEN, Answer, MusicStandIn, PicturesStandIn, TaskStandIn, VideosStandIn
from standins import send

from halley import retry
from halley.dispatch.ports import MetricValue, Outcome, OutputPart, Progress, Work
from halley.dispatch.upstreams import UpstreamTarget
from halley.egress.body import FileSink
from halley.errors import StorageFull
from halley.predictions.submits import UNKNOWN_REASON
from halley.providers.http_job import outputs
from halley.providers.http_job.job import Job
from halley.providers.http_job.provider import JobProvider
from halley.providers.http_job.reading import job_of, read_job
from halley.testing.http_jobs import open_job
from halley.testing.providers import logs, within

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "jobs"
FILE = b"\x00\x00\x00\x18ftypmp42" + bytes(5000)
DONE = {"status": "completed", "progress": 100}


@pytest.fixture
def videos() -> Iterator[VideosStandIn]:
    with VideosStandIn() as server:
        server.contents = {f"task_{number}": FILE for number in range(1, 5)}
        yield server


@pytest.fixture
def pictures() -> Iterator[PicturesStandIn]:
    with PicturesStandIn() as server:
        yield server


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "PAUSES_SECONDS", (0.0, 0.0, 0.0))


def job(name: str, **changes: Any) -> Job:
    return msgspec.structs.replace(read_job(EXAMPLES / f"{name}.toml"), **changes)


@asynccontextmanager
async def opened(server: TaskStandIn, found: Job, root: str = "") -> AsyncIterator[JobProvider]:
    async with open_job(found, f"{server.url}{root}", rules={"token": TOKEN}) as provider:
        yield provider


def work(version: str, folder: Path) -> Work:
    return Work(
        prediction_id="p1",
        attempt=1,
        version=version,
        model="test/model",
        input=b'{"prompt":"a crab"}',
        folder=str(folder),
    )


async def video(
    server: VideosStandIn, folder: Path, *states: dict[str, Any], polls: tuple[Answer, ...] = (), **changes: Any
) -> tuple[list[Progress], Outcome, JobProvider]:
    server.states = lambda _: list(states)
    async with opened(server, job("videos", **changes), "/v1") as provider:
        handle = await provider.submit(work("sora-2", folder))
        server.plan("poll", *polls)
        said: list[Progress] = []
        return said, await within(provider.follow(handle, said.append)), provider


def says(status: int, body: Any, kind: str = "application/json", **headers: str) -> Answer:
    return lambda handler: send(handler, status, body, kind, headers)


def cut(handler: Any) -> None:
    raise ConnectionResetError


ODD = {
    "a page": says(200, b"<html>please wait</html>", "text/html"),
    "truncated": says(200, b'{"status": "comple'),
    "nothing": says(200, b""),
    "a list": says(200, [DONE]),
    "no status": says(200, {"id": "task_1"}),
    "a status that is null": says(200, {"status": None}),
    "a status that is a list": says(200, {"status": ["completed"]}),
    "another task": says(200, {"id": "task_9", **DONE}),
    "an unknown word": says(200, {"status": "Tuned", "progress": "soon"}),
    "moved": says(302, b"", location="http://127.0.0.1:9/v1/videos/task_1"),
    "unknown for a moment": says(404, {"error": "no such task"}),
    "bad gateway": says(502, b"<html>502</html>", "text/html"),
    "half a surrogate pair": says(200, b'{"status": "queued", "x": "\\ud83d"}'),
    "cut": cut,
}


@pytest.mark.parametrize("fault", ODD)
async def test_an_odd_answer_ends_nothing(videos: VideosStandIn, tmp_path: Path, fault: str) -> None:
    said, outcome, provider = await video(videos, tmp_path, DONE, polls=(ODD[fault],))
    assert (outcome.status, outcome.error) == ("succeeded", None)
    (part,) = [part for part in said if isinstance(part, OutputPart)]
    assert Path(json.loads(bytes(part.value))).read_bytes() == FILE
    if fault == "an unknown word":
        assert any(
            "the status 'Tuned', which its job file does not name" in one.text for one in provider.report().faults
        )
    elif fault not in {"half a surrogate pair", "unknown for a moment"}:
        assert provider.report().faults


async def test_a_huge_answer_to_a_poll_is_not_read_again(videos: VideosStandIn, tmp_path: Path) -> None:
    limits = msgspec.structs.replace(job("videos").limits, answer_bytes=10_000)
    huge = says(200, {**DONE, "pad": "x" * 20_000})
    _, outcome, _ = await video(videos, tmp_path, DONE, polls=(huge,), limits=limits)
    assert (outcome.status, outcome.reason) == ("failed", "upstream_output_unreadable")


async def test_a_task_that_the_service_forgets_is_lost(videos: VideosStandIn, tmp_path: Path) -> None:
    gone = says(404, {"error": "expired"})
    _, outcome, _ = await video(videos, tmp_path, DONE, polls=(gone,) * 200)
    assert (outcome.status, outcome.reason) == ("failed", UNKNOWN_REASON)


async def test_progress_is_in_the_logs_once_for_each_step_and_never_falls(
    videos: VideosStandIn, tmp_path: Path
) -> None:
    states = [{"status": "in_progress", "progress": one} for one in (0, 7, 52, 31, "88%", None, -4, 1e9)]
    said, _, _ = await video(videos, tmp_path, *states, DONE)
    shown = [int(line.split("%")[0]) for line in logs(said).splitlines()]
    assert shown == list(range(5, 101, 5))
    again, _, _ = await video(videos, tmp_path, DONE)
    assert logs(again) == logs(said)  # who follows later writes the same


CONTENTS = {
    "a page with status 200": says(200, b"<html>not yet</html>", "text/html"),
    "an error with status 200": says(200, {"error": "not yet"}),
    "an error that calls itself a video": says(200, {"error": "not yet"}, "video/mp4"),
    "a page that calls itself a video": says(200, b"\n<!DOCTYPE html><p>not yet", "video/mp4"),
    "an empty file": says(200, b"", "video/mp4"),
    "not there yet": says(404, {"error": "not yet"}),
    "bad gateway": says(502, b""),
    "cut": cut,
}


@pytest.mark.parametrize("fault", CONTENTS)
async def test_a_content_route_is_asked_again(videos: VideosStandIn, tmp_path: Path, fault: str) -> None:
    videos.plan("content", CONTENTS[fault], CONTENTS[fault])
    said, outcome, _ = await video(videos, tmp_path, DONE)
    assert outcome.status == "succeeded"
    (part,) = [part for part in said if isinstance(part, OutputPart)]
    assert (part.paths, part.links, part.more) == (((),), (), False)
    path = Path(json.loads(bytes(part.value)))
    assert (path.suffix, path.read_bytes(), path.is_relative_to(tmp_path)) == (".mp4", FILE, True)


async def test_a_content_route_that_never_has_the_file_fails_with_its_reason(
    videos: VideosStandIn, tmp_path: Path
) -> None:
    videos.plan("content", *[CONTENTS["a page with status 200"]] * 4)
    said, outcome, _ = await video(videos, tmp_path, DONE)
    assert (outcome.status, outcome.reason) == ("failed", "upstream_output_gone")
    assert "text/html" in (outcome.error or "")
    assert not [part for part in said if isinstance(part, OutputPart)]
    limits = msgspec.structs.replace(job("videos").limits, content_bytes=100)
    videos.plan("content", *[says(200, FILE, "video/mp4")] * 9)
    _, outcome, _ = await video(videos, tmp_path, DONE, limits=limits)
    assert "larger than the limit of 100 bytes" in (outcome.error or "")


async def test_a_content_route_that_redirects_gives_a_link_and_keeps_the_token(
    videos: VideosStandIn, tmp_path: Path
) -> None:
    videos.plan("content", says(302, b"", location="https://cdn.example.com/a.mp4?sig=1"))
    said, outcome, _ = await video(videos, tmp_path, DONE)
    assert outcome.status == "succeeded"
    (part,) = [part for part in said if isinstance(part, OutputPart)]
    assert (json.loads(bytes(part.value)), part.links) == ("https://cdn.example.com/a.mp4?sig=1", ((),))


def changed(*changes: tuple[str, str]) -> Job:
    """The job of the videos with other texts in its file."""
    text = (EXAMPLES / "videos.toml").read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return job_of(text, EXAMPLES)


async def made(server: VideosStandIn, folder: Path, found: Job, state: dict[str, Any]) -> OutputPart:
    """The output of a task that ends with this state."""
    server.states = lambda _: [state]
    async with opened(server, found, "/v1") as provider:
        said: list[Progress] = []
        outcome = await within(provider.follow(await provider.submit(work("sora-2", folder)), said.append))
        assert (outcome.status, outcome.error) == ("succeeded", None)
        (part,) = [part for part in said if isinstance(part, OutputPart)]
        return part


FILES = ('status = "/status"', 'status = "/status"\noutput = "/files"')
BY_FILE = ("/content", "/content?file={output}")


async def test_a_content_route_is_asked_for_each_value_of_the_output(videos: VideosStandIn, tmp_path: Path) -> None:
    found = changed(FILES, BY_FILE, ('output = "file"', 'output = "files"'))
    part = await made(videos, tmp_path, found, {**DONE, "files": ["a b", 7]})
    assert part.paths == ((0,), (1,))
    paths = [Path(one) for one in json.loads(bytes(part.value))]
    assert [path.read_bytes() for path in paths] == [FILE, FILE]
    asked = [one.path.partition("?")[2] for one in videos.seen if "content" in one.path]
    assert asked == ["file=a%20b", "file=7"]


async def test_a_content_route_may_answer_with_a_link(videos: VideosStandIn, tmp_path: Path) -> None:
    link = "https://cdn.example.com/a.mp4"
    found = changed(FILES, ('/content"', '/content?file={output}"\nurl = "/file/url"'))
    videos.plan("content", *[says(200, {"file": file}) for file in ({}, {"url": []}, {"url": ""}, {"url": link})])
    part = await made(videos, tmp_path, found, {**DONE, "files": ["f1"]})
    assert (json.loads(bytes(part.value)), part.links, part.paths) == (link, ((),), ())


async def test_bytes_in_the_answer_are_a_file_too(videos: VideosStandIn, tmp_path: Path) -> None:
    text = 'status = "/status"\noutput = { at = "/data", each = "/b64_json" }\nbase64 = "image/png"'
    part = await made(videos, tmp_path, changed((FILES[0], text)), {**DONE, "data": [{"b64_json": "iVBORw0KGgo="}]})
    assert (json.loads(bytes(part.value)), part.links) == ("data:image/png;base64,iVBORw0KGgo=", ((),))


async def test_a_cancel_deletes_the_task_and_ends_the_following(videos: VideosStandIn, tmp_path: Path) -> None:
    videos.states = lambda _: [{"status": "in_progress"}]
    async with opened(videos, job("videos"), "/v1") as provider:
        handle = await provider.submit(work("sora-2", tmp_path))
        following = asyncio.ensure_future(provider.follow(handle, _ignore))
        await asyncio.sleep(0.05)
        provider.cancel(handle)
        assert (await within(following)).status == "canceled"
        assert [one.path for one in videos.seen if one.method == "DELETE"] == ["/v1/videos/task_1"]


async def test_a_cancel_ends_the_fetching_of_a_file(videos: VideosStandIn, tmp_path: Path) -> None:
    has_begun, is_over = threading.Event(), threading.Event()

    def hold(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "5000")
        handler.end_headers()
        handler.wfile.write(FILE[:100])
        handler.wfile.flush()
        has_begun.set()
        is_over.wait(20)
        handler.close_connection = True

    videos.states = lambda _: [DONE]
    videos.plan("content", hold)
    async with opened(videos, job("videos", cancel=None), "/v1") as provider:
        following = asyncio.ensure_future(provider.follow(await provider.submit(work("sora-2", tmp_path)), _ignore))
        assert await asyncio.to_thread(has_begun.wait, 20)
        provider.cancel("task_1")
        assert (await within(following)).status == "canceled"
        is_over.set()


async def test_a_file_that_is_announced_as_too_large_is_not_read(videos: VideosStandIn, tmp_path: Path) -> None:
    is_over = threading.Event()

    def announce(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(10 * 2**30))
        handler.end_headers()
        handler.wfile.flush()
        is_over.wait(40)
        handler.close_connection = True

    videos.plan("content", announce)
    _, outcome, _ = await video(videos, tmp_path, DONE)
    assert "larger than the limit" in (outcome.error or "")
    assert not is_over.is_set()
    is_over.set()


async def test_a_full_disk_is_waited_for(
    videos: VideosStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = [StorageFull("no room")] * 8
    create = FileSink.create

    async def full(path: Path) -> FileSink:
        if waits:
            raise waits.pop()
        return await create(path)

    monkeypatch.setattr(FileSink, "create", full)
    monkeypatch.setattr(retry, "RETRY_SECONDS", 0.01)
    _, outcome, _ = await video(videos, tmp_path, DONE)
    assert (outcome.status, outcome.error, waits) == ("succeeded", None, [])


def _ignore(progress: Progress) -> None:
    del progress


async def test_an_output_may_come_late_and_a_missing_one_is_a_failure(
    pictures: PicturesStandIn, tmp_path: Path
) -> None:
    done = {"status": "SUCCESS", "progress": "100%"}
    link = "https://cdn.example.com/grid.png"
    pictures.states = lambda _: [done, {**done, "imageUrl": None}, {**done, "imageUrl": ""}, {**done, "imageUrl": link}]
    async with opened(pictures, job("images")) as provider:
        said: list[Progress] = []
        outcome = await within(provider.follow(await provider.submit(work("imagine", tmp_path)), said.append))
        assert outcome.status == "succeeded"
        assert [json.loads(bytes(part.value)) for part in said if isinstance(part, OutputPart)] == [link]
        pictures.states = lambda _: [done]
        outcome = await within(provider.follow(await provider.submit(work("imagine", tmp_path)), said.append))
        assert (outcome.status, outcome.reason) == ("failed", "upstream_output_gone")
        pictures.states = lambda _: [{**done, "imageUrl": {"no": "link"}}]
        outcome = await within(provider.follow(await provider.submit(work("imagine", tmp_path)), said.append))
        assert "no link to a file" in (outcome.error or "")


async def test_files_and_cost_stand_in_an_envelope_and_without_cancel_nothing_is_sent(tmp_path: Path) -> None:
    links = ["https://cdn.example.com/a.mp3", "https://cdn.example.com/b.mp3"]
    with MusicStandIn() as music:
        songs = [{"audio_url": link} for link in links]
        music.states = lambda _: [{"status": "SUCCESS", "quota": "12.5", "data": [*songs, {"audio_url": None}]}]
        async with opened(music, job("music", limits=job("videos").limits)) as provider:
            said: list[Progress] = []
            handle = await provider.submit(work("song", tmp_path))
            assert (await within(provider.follow(handle, said.append))).status == "succeeded"
            (part,) = [part for part in said if isinstance(part, OutputPart)]
            assert (json.loads(bytes(part.value)), part.links) == (links, ((0,), (1,)))
            assert [(one.name, one.value) for one in said if isinstance(one, MetricValue)] == [("cost", 12.5)]
            music.states = lambda _: [{"status": "IN_PROGRESS"}]
            handle = await provider.submit(work("song", tmp_path))
            provider.cancel(handle)
            before = len(music.seen)
            assert (await within(provider.follow(handle, said.append))).status == "canceled"
            assert all("cancel" not in one.path for one in music.seen[before:])
            music.plan("poll", *[says(200, {"code": "task_not_exist"})] * 50)
            assert not await provider.has_run("task_1")


async def test_no_text_has_the_token(videos: VideosStandIn, tmp_path: Path) -> None:
    message = f"the token {TOKEN} may not see {videos.url}/v1/x"
    failed = {"status": "failed", "error": {"message": message}, "usage": {"cost": f"of {TOKEN}"}}
    odd = says(200, {"status": f"{'x' * 480}{TOKEN}"})
    said, outcome, provider = await video(videos, tmp_path, failed, polls=(odd,))
    assert (outcome.status, outcome.error) == ("failed", "the token [token] may not see the service")
    shown = f"{provider.report().faults}{said}"
    assert TOKEN[:8] not in shown
    found = job("images")
    with PicturesStandIn() as pictures:
        pictures.states = lambda _: [{"status": "SUCCESS", "imageUrl": f"{'y' * 90}{TOKEN}"}]
        async with opened(pictures, found) as provider:
            handle = await provider.submit(work("imagine", tmp_path))
            outcome = await within(provider.follow(handle, _ignore))
            assert TOKEN[:8] not in f"{outcome}{provider.report().faults}"


async def test_a_route_may_pass_the_links_of_a_task_on(pictures: PicturesStandIn, tmp_path: Path) -> None:
    link = "https://cdn.example/a.png"
    pictures.states = lambda _: [{"status": "SUCCESS", "progress": "100%", "imageUrl": link}]
    async with opened(pictures, job("images")) as provider:
        (version,) = {model.partition("/")[2] for model in job("images").models}
        target = UpstreamTarget(model=next(iter(job("images").models)), passes_links=True)
        provider._dependencies = msgspec.structs.replace(provider._dependencies, find_target=lambda _: target)
        said: list[Progress] = []
        await within(provider.follow(await provider.submit(work(version, tmp_path)), said.append))
    [part] = [one for one in said if isinstance(one, OutputPart)]
    assert (msgspec.json.decode(part.value), part.links, part.passed) == (link, (), True)
