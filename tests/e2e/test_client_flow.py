"""The seed's flow as a client: follow a prediction on any compatible server and keep its files, whatever breaks."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.standins import TOKEN, CometStandIn, Delivered, ReplicateStandIn, StandIn
from halley.cli.client import Client
from halley.cli.downloading import Downloads
from halley.cli.failures import ExitCode, NotSaved, ServerRefused, Unreachable, UsageProblem
from halley.cli.main import run_command
from halley.cli.model_ref import parse_model_ref
from halley.cli.saving import save_prediction
from halley.cli.target import ServerTarget, normalise
from halley.cli.watching import WatchTimes, watch

PICTURE = bytes(range(256)) * 1200  # 300 KB: more than one chunk, and every byte value
SHA256 = hashlib.sha256(PICTURE).hexdigest()
ID = "vcscvthbaxrm80cq9xqtcbaw4m"


class QuickTiming:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    def random(self) -> float:
        return 0.5


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in [name for name in os.environ if name.startswith(("HALLEY_", "REPLICATE_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def replicate() -> Iterator[ReplicateStandIn]:
    with ReplicateStandIn() as server:
        yield server


@pytest.fixture
def comet() -> Iterator[CometStandIn]:
    with CometStandIn() as server:
        yield server


def client_for(
    server: StandIn, path: str = "", *, read_seconds: float = 20.0, timing: QuickTiming | None = None
) -> Client:
    root, api = normalise(server.url + path)
    target = ServerTarget(root=root, api=api, token=TOKEN)
    return Client(target, timing=timing or QuickTiming(), read_seconds=read_seconds)


def keep(client: Client, prediction: dict[str, Any], folder: Path) -> list[str]:
    said: list[str] = []
    save_prediction(
        prediction,
        folder,
        server=client.target.root,
        downloads=Downloads(client.http, authorization=client.authorization, timing=client.timing),
        refresh=lambda: client.look(prediction["id"]).prediction,
        on_saved=lambda asset: said.append(asset.file),
    )
    return said


def command(server: StandIn, *words: str, path: str = "") -> int:
    return run_command([*words, "--server", server.url + path, "--token", TOKEN])


def test_watch_follows_to_the_end_and_keeps_every_file(replicate, tmp_path, capsys):
    links = [replicate.put(f"l{n}", Delivered("out.png", PICTURE + bytes([n]), serves=1)) for n in range(2)]
    output = {"pictures": links, "mask": "data:image/png;base64,iVBORw0=", "words": "see https://x.example"}
    replicate.predictions[ID] = replicate.states(
        ID,
        {"status": "processing", "logs": "50%|#####     | 1/2\n"},
        {"status": "succeeded", "output": output, "metrics": {"predict_time": 1.25}},
    )
    folder = tmp_path / "kept"
    assert command(replicate, "predictions", "watch", ID, "--save", str(folder)) == 0
    record = json.loads((folder / "prediction.json").read_bytes())
    assert [asset["pointer"] for asset in record["assets"]] == ["/pictures/0", "/pictures/1", "/mask"]
    assert [asset["file"] for asset in record["assets"]] == ["out.png", "out-2.png", "output-2.png"]
    for asset in record["assets"]:
        data = (folder / asset["file"]).read_bytes()
        assert (asset["size"], asset["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert record["prediction"]["output"] == output
    assert sorted(path.name for path in folder.iterdir()) == ["out-2.png", "out.png", "output-2.png", "prediction.json"]
    said = capsys.readouterr()
    assert json.loads(said.out)["status"] == "succeeded"
    assert "predict_time 1.25" in said.err


def test_a_second_run_does_nothing_even_where_the_links_are_dead(replicate, tmp_path):
    link = replicate.put("l", Delivered("out.png", PICTURE, serves=1))
    replicate.predictions[ID] = replicate.states(ID, {"status": "succeeded", "output": [link]})[1:]
    words = ("predictions", "watch", ID, "--save", str(tmp_path / "kept"))
    assert command(replicate, *words) == 0
    asked = len(replicate.seen)
    assert command(replicate, *words) == 0
    assert len(replicate.seen) == asked
    (tmp_path / "kept" / "out.png").write_bytes(b"damaged")
    assert command(replicate, *words) == ExitCode.UNREACHABLE  # noticed, and the link is used up


def test_a_connection_cut_in_the_body_is_resumed_where_it_broke(replicate, tmp_path):
    file = Delivered("out.png", PICTURE, serves=1, cut_at=200_000)
    prediction = replicate.states(ID, {"status": "succeeded", "output": replicate.put("l", file)})[1]
    with client_for(replicate) as client:
        assert keep(client, prediction, tmp_path) == ["out.png"]
    assert (tmp_path / "out.png").read_bytes() == PICTURE
    first, second = replicate.asked("/delivery/")
    assert "range" not in first.headers
    begun = int(second.headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < begun <= 200_000


def test_without_a_validator_an_interrupted_transfer_starts_again(replicate, tmp_path):
    file = Delivered("out.png", PICTURE, cut_at=200_000, etag=False)
    prediction = replicate.states(ID, {"status": "succeeded", "output": replicate.put("l", file)})[1]
    with client_for(replicate) as client:
        keep(client, prediction, tmp_path)
    assert (tmp_path / "out.png").read_bytes() == PICTURE
    assert all("range" not in request.headers for request in replicate.asked("/delivery/"))


def test_killed_while_saving_and_run_again_ends_complete(replicate, tmp_path):
    small = replicate.put("small", Delivered("small.png", b"small", serves=1))
    big = Delivered("big.png", PICTURE, serves=1, hold_at=200_000)
    output = [small, replicate.put("big", big)]
    replicate.predictions[ID] = replicate.states(ID, {"status": "succeeded", "output": output})[1:]
    folder = tmp_path / "kept"
    words = ["predictions", "watch", ID, "--save", str(folder), "--server", replicate.url, "--token", TOKEN]
    process = subprocess.Popen(
        [sys.executable, "-m", "halley.cli.main", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert big.holding.wait(30)
    pause = big.release  # not set: waiting on it is a short nap
    while not (folder / "big.png.part").exists() or (folder / "big.png.part").stat().st_size < 100_000:
        assert process.poll() is None
        pause.wait(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    big.release.set()
    assert not (folder / "big.png").exists()
    assert run_command(words) == 0
    assert (folder / "big.png").read_bytes() == PICTURE
    record = json.loads((folder / "prediction.json").read_bytes())
    assert [asset["sha256"] for asset in record["assets"]] == [hashlib.sha256(b"small").hexdigest(), SHA256]
    assert len(replicate.asked("/delivery/small")) == 1  # what was complete is not fetched again
    assert replicate.asked("/delivery/big")[-1].headers["range"].startswith("bytes=")
    assert sorted(path.name for path in folder.iterdir()) == ["big.png", "prediction.json", "small.png"]


def test_a_file_that_changed_meanwhile_is_fetched_whole(replicate, tmp_path):
    file = Delivered("out.png", PICTURE, hold_at=200_000)
    link = replicate.put("l", file)
    prediction = replicate.states(ID, {"status": "succeeded", "output": link})[1]
    file.hold_at, file.cut_at = None, 200_000
    with client_for(replicate) as client:
        downloads = Downloads(client.http, authorization=client.authorization, timing=_Changes(file))
        save_prediction(
            prediction, tmp_path, server="x", downloads=downloads, refresh=lambda: prediction, on_saved=lambda _: None
        )
    assert (tmp_path / "out.png").read_bytes() == PICTURE[::-1]


class _Changes(QuickTiming):
    def __init__(self, file: Delivered) -> None:
        super().__init__()
        self._file = file

    def sleep(self, seconds: float) -> None:
        self._file.data = PICTURE[::-1]


def test_an_expired_link_is_read_again_once(replicate, tmp_path):
    dead = replicate.put("old", Delivered("out.png", b"", serves=0))
    fresh = replicate.put("new", Delivered("out.png", PICTURE))
    old, new = replicate.states(ID, {"status": "succeeded", "output": [dead]}, {"output": [fresh]})[1:]
    replicate.predictions[ID] = [new]
    with client_for(replicate) as client:
        keep(client, old, tmp_path)
    assert (tmp_path / "out.png").read_bytes() == PICTURE


def test_one_lost_file_does_not_lose_the_others(replicate, tmp_path):
    output = [
        replicate.put("dead", Delivered("a.png", b"", serves=0)),
        replicate.put("good", Delivered("b.png", PICTURE)),
    ]
    prediction = replicate.states(ID, {"status": "succeeded", "output": output})[1]
    replicate.predictions[ID] = [prediction]
    with client_for(replicate) as client, pytest.raises(NotSaved, match="1 of 2"):
        keep(client, prediction, tmp_path)
    assert (tmp_path / "b.png").read_bytes() == PICTURE
    lost, kept = json.loads((tmp_path / "prediction.json").read_bytes())["assets"]
    assert "404" in lost["error"]
    assert (kept["sha256"], kept["error"]) == (SHA256, None)


def test_what_the_server_removed_is_not_removed_here(replicate, tmp_path):
    link = replicate.put("l", Delivered("out.png", PICTURE))
    prediction, removed = replicate.states(
        ID, {"status": "succeeded", "output": link}, {"output": None, "data_removed": True, "input": {}}
    )[1:]
    with client_for(replicate) as client:
        keep(client, prediction, tmp_path)
        keep(client, removed, tmp_path)
    record = json.loads((tmp_path / "prediction.json").read_bytes())
    assert (record["prediction"]["output"], record["assets"][0]["sha256"]) == (link, SHA256)


def test_hostile_names_stay_in_the_folder_and_other_files_are_unchanged(replicate, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "out.png").write_bytes(b"mine")
    names = ["..%2F..%2Fevil.sh", ".bashrc", "prediction.json", "out.png", "CON.txt", "x.part"]
    output = [replicate.put(f"l{n}", Delivered(name, b"data")) for n, name in enumerate(names)]
    prediction = replicate.states(ID, {"status": "succeeded", "output": output})[1]
    with client_for(replicate) as client:
        keep(client, prediction, tmp_path / "kept")
    assert (tmp_path / "kept" / "out.png").read_bytes() == b"mine"
    record = json.loads((tmp_path / "kept" / "prediction.json").read_bytes())
    files = [asset["file"] for asset in record["assets"]]
    assert files == ["_.._evil.sh", "bashrc.png", "prediction_json.png", "out-2.png", "_CON.txt", "x_part.png"]
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {*files, "out.png", "prediction.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_folder_of_another_prediction_is_refused(replicate, tmp_path):
    prediction = replicate.states(ID, {"status": "succeeded", "output": None})[1]
    with client_for(replicate) as client:
        keep(client, prediction, tmp_path)
        with pytest.raises(UsageProblem, match="already holds"):
            keep(client, {**prediction, "id": "other"}, tmp_path)


def test_the_token_is_sent_to_its_own_server_only(replicate, comet, tmp_path):
    foreign = comet.put("l", Delivered("out.png", PICTURE))
    own = replicate.put("l", Delivered("own.png", PICTURE))
    prediction = replicate.states(ID, {"status": "succeeded", "output": [foreign, own]})[1]
    with client_for(replicate) as client:
        keep(client, prediction, tmp_path)
    assert "authorization" not in comet.asked("/delivery/")[0].headers
    assert "authorization" in replicate.asked("/delivery/")[0].headers


def test_lists_are_followed_over_pages(replicate, capsys):
    for n in range(5):
        replicate.predictions[f"p{n}"] = replicate.states(f"p{n}")
    assert command(replicate, "predictions", "list", "--limit", "4") == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == ["ID", "p0", "p1", "p2", "p3"]
    assert command(replicate, "predictions", "list", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 5


def test_throttling_is_waited_for_as_the_server_asks(replicate):
    timing = QuickTiming()
    replicate.predictions[ID] = replicate.states(ID)
    replicate.throttle = 2
    with client_for(replicate, timing=timing) as client:
        assert client.look(ID).prediction["id"] == ID
        assert timing.slept == [7, 7]
        replicate.throttle = 99
        with pytest.raises(ServerRefused, match="throttled") as refused:
            client.cancel(ID)
    assert refused.value.status == 429


def test_run_creates_follows_and_returns_the_result(replicate, tmp_path, capsys):
    link = replicate.put("l", Delivered("out.png", PICTURE))

    def painted(first):
        return [first, {**first, "status": "succeeded", "output": [link], "metrics": {"image_count": 1}}]

    replicate.on_create = painted
    target = tmp_path / "hills.png"
    assert command(replicate, "run", "acme/painter", "prompt=green hills", "width=64", "-o", str(target)) == 0
    assert target.read_bytes() == PICTURE
    created = next(json.loads(request.body) for request in replicate.seen if request.method == "POST")
    assert created["input"] == {"prompt": "green hills", "width": 64}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hills.png"]

    replicate.on_create = lambda first: [
        first,
        {**first, "status": "failed", "error": "E1001: out of memory", "logs": "a\nb"},
    ]
    capsys.readouterr()
    assert command(replicate, "run", "acme/painter", "prompt=x") == ExitCode.FAILED
    said = capsys.readouterr()
    assert "E1001: out of memory" in said.err
    assert "| b" in said.err
    assert json.loads(said.out)["status"] == "failed"

    replicate.on_create = lambda first: [first, {**first, "status": "aborted"}]
    assert command(replicate, "run", "acme/painter", "prompt=x") == ExitCode.CANCELED


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "acme/painter", "width=3"], ExitCode.USAGE, "prompt is required"),
        (["run", "acme/painter", "prmpt=3"], ExitCode.USAGE, "Did you mean prompt?"),
        (["run", "acme/nothing", "prompt=3"], ExitCode.NOT_FOUND, "There is no model acme/nothing"),
        (["predictions", "show", "nope"], ExitCode.NOT_FOUND, "could not be found"),
        (["run", "acme/painter", "prompt=@nofile"], ExitCode.USAGE, "no file"),
        (["run", "./nowhere"], ExitCode.USAGE, "no model at"),
        (["predictions", "watch", "x", "--timeout", "soon"], ExitCode.USAGE, "30s"),
    ],
)
def test_errors_are_words_and_exit_codes(replicate, capsys, words, code, said):
    assert command(replicate, *words) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_wrong_token_is_distinguished_from_a_missing_server(replicate, capsys):
    assert run_command(["predictions", "show", ID, "--server", replicate.url, "--token", "x"]) == ExitCode.UNAUTHORISED
    assert run_command(["predictions", "show", ID, "--server", "http://127.0.0.1:9"]) == ExitCode.UNREACHABLE
    assert "halley serve" in capsys.readouterr().err


def test_a_model_that_runs_by_version_only_is_asked_for_its_latest(replicate):
    with client_for(replicate) as client:
        made = client.create(parse_model_ref("acme/community"), {"prompt": "x"}, idempotency_key="k")
    assert made["status"] == "starting"
    posts = [request for request in replicate.seen if request.method == "POST"]
    assert [request.path for request in posts] == ["/v1/models/acme/community/predictions", "/v1/predictions"]
    assert json.loads(posts[1].body)["version"] == "a" * 64
    assert posts[0].headers["idempotency-key"] == "k"


def test_files_are_uploaded_or_sent_inside(replicate, comet, tmp_path):
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG")
    for server, path, expected in [
        (replicate, "", f"{replicate.url}/v1/files/f1"),
        (comet, "/replicate", "data:image/png;base64,iVBORw=="),
    ]:
        assert command(server, "run", "acme/painter", "prompt=x", f"image=@{picture}", "--no-wait", path=path) == 0
        made = [json.loads(request.body) for request in server.seen if request.path.endswith("/painter/predictions")]
        assert made[0]["input"]["image"] == expected
    upload = next(request for request in replicate.seen if request.path == "/v1/files")
    assert b'name="content"; filename="cat.png"' in upload.body


def test_comets_prediction_is_followed_in_its_own_shape(comet, tmp_path, capsys):
    link = comet.put("l", Delivered("out.webp", PICTURE))
    comet.predictions[ID] = comet.states(
        ID,
        {"status": "processing", "started_at": "2026-03-12T11:27:19.1Z"},
        {"status": "succeeded", "output": [link], "metrics": {"image_count": 1, "predict_time": 0.4}},
    )
    words = ("predictions", "watch", ID, "--save", str(tmp_path / "kept"))
    assert command(comet, *words, path="/replicate/v1/") == 0
    assert (tmp_path / "kept" / "out.webp").read_bytes() == PICTURE
    said = capsys.readouterr()
    assert json.loads(said.out)["version"] == "dp-0f3c"
    assert "image_count 1" in said.err
    assert all(request.path.startswith(("/replicate/v1/predictions/", "/delivery/")) for request in comet.seen)
    assert command(comet, "predictions", "show", ID, path="/replicate") == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == {"image_count": 1, "predict_time": 0.4}


def test_comets_envelope_is_understood(comet, capsys):
    assert command(comet, "run", "acme/painter", "width=1", path="/replicate") == ExitCode.USAGE
    assert "prompt is missing [input]" in capsys.readouterr().err
    words = ["predictions", "show", ID, "--server", f"{comet.url}/replicate", "--token", "wrong"]
    assert run_command(words) == ExitCode.UNAUTHORISED
    assert "Invalid token" in capsys.readouterr().err


def test_a_page_instead_of_an_answer_is_named_as_what_it_is(comet, capsys):
    assert command(comet, "predictions", "show", ID) == ExitCode.UNREACHABLE
    said = capsys.readouterr().err
    assert "text/html" in said
    assert "/replicate/v1" in said


def test_an_answer_that_never_comes_is_asked_for_again(comet):
    states = comet.states(ID, {"status": "processing"}, {"status": "succeeded"})
    comet.predictions[ID] = states
    with client_for(comet, "/replicate") as client:
        first = client.look(ID).prediction
    with client_for(comet, "/replicate", read_seconds=0.2) as client:
        comet.stalls = 1
        final = watch(
            client, ID, timing=client.timing, on_look=lambda _: None, created=first, times=WatchTimes(hold_seconds=0.1)
        )
    assert final["status"] == "succeeded"


def test_a_server_that_never_answers_is_left(comet):
    comet.predictions[ID] = comet.states(ID)
    comet.stalls = 99
    with (
        client_for(comet, "/replicate", read_seconds=0.1) as client,
        pytest.raises(Unreachable, match="did not answer"),
    ):
        watch(client, ID, timing=client.timing, on_look=lambda _: None)
