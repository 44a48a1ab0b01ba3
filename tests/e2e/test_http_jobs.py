"""Four services with tasks of their own are models behind the real server, by the job files of examples/ alone."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from job_standins import TOKEN, MusicStandIn, PicturesStandIn, QueueStandIn, VideosStandIn
from process import Case, Halley
from standins import Delivered, StandIn

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "jobs"
VIDEO = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 3000
SONG = b"ID3\x04\x00" + bytes(range(255)) * 500
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 600
FAST = "first_seconds = 0.05\nchanged_seconds = 0.05\nlongest_seconds = 0.2\n"
"""In place of the intervals of the example: a stand-in is never busy."""

SERVICES = {"videos": "/v1", "images": "", "music": "", "fal": ""}


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, Any]]:
    with VideosStandIn() as videos, PicturesStandIn() as images, MusicStandIn() as music, QueueStandIn() as fal:
        yield {"videos": videos, "images": images, "music": music, "fal": fal}


@pytest.fixture(scope="module")
def front(services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    home = tmp_path_factory.mktemp("jobs")
    config = ""
    for name, root in SERVICES.items():
        text = (EXAMPLES / f"{name}.toml").read_text()
        kept = [line for line in text.splitlines() if not line.startswith(("first_seconds", "longest_seconds"))]
        balance = '\n[balance]\npath = "/balance"\nat = "/data/left"\nunit = "USD"\n' if name == "fal" else ""
        (home / f"{name}.toml").write_text("\n".join(kept).replace("[poll]\n", f"[poll]\n{FAST}") + balance)
        config += (
            f'[providers.{name}]\nkind = "http-job"\nurl = "{services[name].url}{root}"\nfile = "{name}.toml"\n'
            'token_env = "TASKS_KEY"\n'
        )
    config += "".join(
        f'[routes."{model}"]\nproviders = ["{name}"]\n'
        for model, name in (("openai/*", "videos"), ("midjourney/*", "images"), ("suno/*", "music"), ("fal/*", "fal"))
    )
    with Halley(home, "--no-demo", config=config, environment={"TASKS_KEY": TOKEN}) as server:
        yield server


def sha(*files: bytes) -> list[str]:
    return [hashlib.sha256(file).hexdigest() for file in files]


def paths_of(service: StandIn, method: str) -> list[str]:
    """The paths of its requests by a method: a cancel is carried on after it was answered here."""
    for _ in range(400):
        if found := [one.path for one in service.seen if one.method == method]:
            break
        time.sleep(0.05)
    return found


@pytest.fixture
def task(front: Halley, case_of: Callable[..., Case]) -> Callable[..., dict[str, Any]]:
    client = case_of("py1", front.url)

    def run(model: str, image: Path | None = None, cancel: bool = False, **given: Any) -> dict[str, Any]:
        found = client("task", model=model, given=given, image=None if image is None else str(image), cancel=cancel)
        return dict(found)

    return run


def test_a_video_is_made_from_a_form_and_comes_from_its_content_route(
    services: dict[str, Any], task: Callable[..., dict[str, Any]], tmp_path: Path, front: Halley
) -> None:
    videos = services["videos"]
    videos.states = lambda _: [
        {"status": "queued", "progress": 0},
        *({"status": "in_progress", "progress": percent} for percent in (15, 40, 40, 85)),
        {"status": "completed", "progress": 100, "video_url": None, "usage": {"cost": 0.4}},
    ]
    videos.contents = {"task_1": VIDEO}  # the first of this module
    image = tmp_path / "first frame.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    row = task("openai/sora-2", image=image, prompt='a "crab"\r\n--x--', seconds=8)
    assert (row["status"], row["error"], row["found"]) == ("succeeded", None, sha(VIDEO))
    assert row["output"].endswith(".mp4")
    assert row["output"].startswith(front.url)
    assert row["metrics"]["cost"] == 0.4
    assert row["seen"] == sorted(row["seen"])
    assert row["seen"][-1] == 1.0
    assert row["logs"].splitlines()[-1].endswith("| 100/100")
    sent = videos.given["task_1"]
    kept = {"model": "sora-2", "prompt": 'a "crab"\r\n--x--', "seconds": "8", "size": "720x1280"}
    assert {name: value for name, value in sent.items() if name != "input_reference"} == kept
    assert sent["input_reference"][1:] == ("image/png", image.read_bytes())
    (content,) = [one for one in videos.seen if one.path.endswith("/content")]
    assert content.headers["authorization"] == f"Bearer {TOKEN}"


def test_a_video_that_is_canceled_is_deleted_there(
    services: dict[str, Any], task: Callable[..., dict[str, Any]]
) -> None:
    videos = services["videos"]
    videos.states = lambda _: [{"status": "in_progress", "progress": 5}]
    row = task("openai/sora-2", cancel=True, prompt="never")
    assert (row["status"], row["found"]) == ("canceled", [])
    assert len(paths_of(videos, "DELETE")) == 1


def test_inputs_are_checked_here_and_a_refusal_there_is_the_error(
    services: dict[str, Any], front: Halley, task: Callable[..., dict[str, Any]]
) -> None:
    path = "/v1/models/openai/sora-2/predictions"
    status, headers, problem = front.call("POST", path, {"input": {"prompt": "x", "seconds": 5}})
    assert (status, "x-halley-inputs" in headers) == (422, False)
    assert "seconds" in problem["detail"]
    row = task("openai/sora-2", prompt="")
    assert (row["status"], row["metrics"].get("cost")) == ("failed", None)
    assert "prompt is missing" in row["error"]
    row = task("suno/song", prompt="something forbidden")
    assert (row["status"], "this prompt is not allowed" in row["error"]) == ("failed", True)


def test_a_picture_task_shows_its_progress_and_its_link_is_copied(
    services: dict[str, Any], task: Callable[..., dict[str, Any]], front: Halley
) -> None:
    images = services["images"]
    link = images.put("a", Delivered("grid.png", PICTURE, serves=1))
    images.states = lambda _: [
        {"status": "NOT_START", "progress": "0%", "imageUrl": "", "queuePosition": 2},
        {"status": "BREWING", "progress": "35%"},  # a word that no page names
        {"status": "SUCCESS", "progress": "100%", "imageUrl": link, "failReason": ""},
    ]
    row = task("midjourney/imagine", prompt="a crab", aspect_ratio="16:9")
    assert (row["status"], row["error"], row["found"]) == ("succeeded", None, sha(PICTURE))
    given = images.given["task_1"]
    assert given == {"prompt": "a crab --ar 16:9", "state": row["id"]}
    shown = json.dumps(front.call("GET", "/v1/upstreams")[2])
    assert "the status 'BREWING', which its job file does not name" in shown
    assert TOKEN not in shown + front.log() + json.dumps(row)
    images.states = lambda _: [{"status": "FAILURE", "progress": "10%", "failReason": "banned word"}]
    row = task("midjourney/imagine", prompt="a crab")
    assert (row["status"], row["error"]) == ("failed", "banned word")


def test_a_picture_whose_create_had_no_answer_is_found_by_our_own_id(
    services: dict[str, Any], task: Callable[..., dict[str, Any]], front: Halley
) -> None:
    images = services["images"]
    link = images.put("b", Delivered("grid.png", PICTURE))
    images.states = lambda _: [{"status": "SUCCESS", "progress": "100%", "imageUrl": link}]

    def begin_and_break(handler: Any) -> None:
        images.begin(json.loads(images.seen[-1].body))
        raise ConnectionResetError

    images.plan("create", begin_and_break)
    before = len(images.runs)
    row = task("midjourney/imagine", prompt="lost")
    assert (row["status"], row["found"], len(images.runs)) == ("succeeded", sha(PICTURE), before + 1)
    assert front.call("GET", "/v1/upstreams/unknown")[2]["results"] == []


def test_a_song_has_several_files_and_its_cost(services: dict[str, Any], task: Callable[..., dict[str, Any]]) -> None:
    music = services["music"]
    songs = [Delivered(f"{name}.mp3", SONG + name.encode(), "audio/mpeg") for name in "ab"]
    links = [music.put(file.name, file) for file in songs]
    music.states = lambda _: [
        {"status": "IN_PROGRESS", "progress": "30%", "data": []},
        {
            "status": "SUCCESS",
            "progress": "100%",
            "quota": 1250,
            "data": [{"audio_url": link, "title": "x"} for link in links],
        },
    ]
    row = task("suno/song", prompt="rain", style="folk")
    assert (row["status"], row["found"]) == ("succeeded", sha(*(file.data for file in songs)))
    assert row["metrics"]["cost"] == 1250
    sent = {"mv": "chirp-v5", "gpt_description_prompt": "rain", "tags": "folk", "make_instrumental": False}
    assert next(iter(music.given.values())) == sent


def test_a_queue_gives_its_result_at_another_address(
    services: dict[str, Any], task: Callable[..., dict[str, Any]]
) -> None:
    fal = services["fal"]
    links = [fal.put(name, Delivered(f"{name}.png", PICTURE + name.encode(), serves=1)) for name in "ab"]
    log = {"message": "loading", "level": "INFO"}
    fal.states = lambda _: [
        {"status": "IN_QUEUE", "queue_position": 3},
        {"status": "IN_PROGRESS", "logs": [log]},
        {"status": "IN_PROGRESS", "logs": [log, {"message": "step 1"}]},
        {"status": "COMPLETED", "logs": [log, {"message": "step 1"}], "metrics": {"inference_time": 1.5}},
    ]
    fal.contents = {
        "task_1": json.dumps({"images": [{"url": link, "width": 64} for link in links], "seed": 7}).encode()
    }
    row = task("fal/flux-dev", prompt="a crab", num_images=2)
    assert (row["status"], row["error"]) == ("succeeded", None)
    assert row["found"] == sha(*(PICTURE + name.encode() for name in "ab"))
    assert row["logs"].split() == ["loading", "step", "1"]
    assert row["metrics"]["inference_time"] == 1.5
    assert fal.given["task_1"] == {"prompt": "a crab", "num_images": 2}
    fal.states = lambda _: [{"status": "IN_PROGRESS"}]
    row = task("fal/flux-dev", cancel=True, prompt="never")
    assert (row["status"], row["found"]) == ("canceled", [])
    assert paths_of(fal, "PUT") == [f"{fal.APP}/requests/task_2/cancel"]


def test_the_balance_of_a_service_is_asked_for_when_somebody_looks(services: dict[str, Any], front: Halley) -> None:
    for _ in range(400):
        (row,) = [one for one in front.call("GET", "/v1/upstreams")[2]["results"] if one["name"] == "fal"]
        if row["balance"] is not None:
            break
        time.sleep(0.05)
    assert (row["balance"]["left"], row["balance"]["unit"]) == (12.5, "USD")
    assert len([one for one in services["fal"].seen if one.path == "/balance"]) == 1


def test_models_and_upstreams_are_shown(front: Halley) -> None:
    status, _, model = front.call("GET", "/v1/models/openai/sora-2")
    assert (status, model["description"]) == (200, "Videos of a few seconds with sound, from a text and an image.")
    given = model["latest_version"]["openapi_schema"]["components"]["schemas"]["Input"]
    assert given["properties"]["seconds"]["enum"] == [4, 8, 12]
    rows = front.call("GET", "/v1/upstreams")[2]["results"]
    assert {(row["name"], row["kind"], row["state"]) for row in rows} == {
        (name, "http-job", "closed") for name in SERVICES
    }
    assert front.call("POST", "/v1/models/openai/none/predictions", {"input": {}})[0] == 404


def test_validate_names_the_place_in_the_job_file(front: Halley, tmp_path: Path) -> None:
    text = (EXAMPLES / "videos.toml").read_text().replace('status = "/status"', 'status = "status"')
    (tmp_path / "videos.toml").write_text(text)
    config = tmp_path / "halley.toml"
    config.write_text('[providers.videos]\nkind = "http-job"\nurl = "http://127.0.0.1:9"\nfile = "videos.toml"\n')
    command = [sys.executable, "-m", "halley.cli.main", "config", "validate", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=dict(os.environ))
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "providers.videos.file" in said
    assert "answer.status: 'status' is no JSON pointer" in said
    assert "'/status'" in said


def test_a_video_goes_on_after_the_server_was_killed(services: dict[str, Any], front: Halley, tmp_path: Path) -> None:
    videos = services["videos"]
    is_over = threading.Event()
    videos.states = lambda _: [{"status": "in_progress", "progress": 30}]
    image = f"data:image/png;base64,{base64.b64encode(PICTURE[:900]).decode()}"
    given = {"input": {"prompt": "goes on", "image": image}}
    row = front.call("POST", "/v1/models/openai/sora-2/predictions", given)[2]
    begun = {"prompt": "goes on"}.items()
    for _ in range(400):
        found = [run for run, sent in videos.given.items() if begun <= sent.items() and run in videos.runs]
        if found and "30%" in front.call("GET", f"/v1/predictions/{row['id']}")[2]["logs"]:
            break
        is_over.wait(0.05)
    front.kill()
    (run,) = found
    videos.contents[run] = VIDEO
    videos.runs[run] = deque([{"status": "completed", "progress": 100, "usage": {"cost": 0.4}}])
    front.start()
    for _ in range(100):
        row = front.call("GET", f"/v1/predictions/{row['id']}", headers={"Prefer": "wait=5"})[2]
        if row["status"] in {"succeeded", "failed"}:
            break
    assert (row["status"], row["error"]) == ("succeeded", None)
    assert row["metrics"]["cost"] == 0.4
    assert sha(front.call("GET", row["output"])[2]) == sha(VIDEO)
    assert [line.split("%")[0].strip() for line in row["logs"].splitlines()] == [str(n) for n in range(5, 101, 5)]
    assert sum(begun <= sent.items() for sent in videos.given.values()) == 1
