"""Where `halley run` and its siblings put an output: files, folders, links, devices, pipes, standard output."""

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.standins import TOKEN, Delivered, ReplicateStandIn, send
from halley.cli.main import run_command

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
WEBP = b"RIFF\x10\0\0\0WEBPVP8 "
FILE = {"type": "string", "format": "uri"}
TEXT = {"type": "string"}
MANY = {
    "prompt": TEXT, "width": {"type": "integer"}, "secret": {**TEXT, "format": "password"}, "image": FILE,
    "either": {"anyOf": [FILE, TEXT]}, "images": {"type": "array", "items": FILE},
    "tags": {"type": "array", "items": TEXT}, "extra": {"type": "object"},
    "maybe": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
}  # fmt: skip
FILES = {"a.jpg": b"A", "b.jpg": b"B", "README.md": b"# Hi\n", "e.json": b'{"n": 1}\n', "k": b"s3\n"}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in [name for name in os.environ if name.startswith(("HALLEY_", "REPLICATE_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReplicateStandIn]:
    with ReplicateStandIn() as server:
        yield server


def painting(server: ReplicateStandIn, *files: Delivered) -> None:
    links = [server.put(f"l{number}", file) for number, file in enumerate(files)]
    server.on_create = lambda first: [first, {**first, "status": "succeeded", "output": links}]


def writing(server: ReplicateStandIn, output: object) -> None:
    server.on_create = lambda first: [first, {**first, "status": "succeeded", "output": output}]


def run(server: ReplicateStandIn, *words: str, prompt: bool = True) -> int:
    place = ["--server", server.url, "--token", TOKEN]
    return run_command(["run", "acme/painter", *(["prompt=x"] if prompt else []), *words, *place])


def posts(server: ReplicateStandIn) -> list[str]:
    return [request.path for request in server.seen if request.method == "POST"]


def made_input(server: ReplicateStandIn) -> dict[str, object]:
    return next(json.loads(one.body)["input"] for one in server.seen if one.path.endswith("/predictions"))


def test_a_device_is_written_into_and_stays_one(server):
    device = Path("null")
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.write_bytes(b"x")
    except OSError:
        pytest.skip("no device can be made here")
    painting(server, Delivered("a.png", PICTURE))
    assert run(server, "-o", "null") == 0
    writing(server, "words")
    assert run(server, "-o", "null") == 0
    assert stat.S_ISCHR(device.stat().st_mode)
    assert [path.name for path in Path().iterdir()] == ["null"]


@pytest.mark.parametrize("kind", ["file", "text"])
def test_a_pipe_is_written_into(server, kind):
    os.mkfifo("pipe")
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(Path("pipe").read_bytes()), daemon=True)
    reader.start()
    painting(server, Delivered("a.png", PICTURE)) if kind == "file" else writing(server, "words")
    assert run(server, "-o", "pipe") == 0
    reader.join(20)
    assert heard == [PICTURE if kind == "file" else b"words"]
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


@pytest.mark.parametrize("exists", [True, False])
def test_what_a_link_points_to_is_written(server, exists):
    Path("real").mkdir()
    if exists:
        Path("real/target.png").write_bytes(b"old")
    Path("link.png").symlink_to("real/target.png")
    painting(server, Delivered("a.png", PICTURE))
    assert run(server, "-o", "link.png") == 0
    assert Path("link.png").is_symlink()
    assert Path("real/target.png").read_bytes() == PICTURE
    assert sorted(path.name for path in Path("real").iterdir()) == ["target.png"]


def test_a_dash_is_standard_output(server):
    painting(server, Delivered("a.png", PICTURE), Delivered("b.png", WEBP))
    words = ["run", "acme/painter", "prompt=x", "-o", "-", "--server", server.url, "--token", TOKEN]
    done = subprocess.run([sys.executable, "-m", "halley.cli.main", *words], capture_output=True, check=True)
    assert done.stdout == PICTURE + WEBP
    words[4] = "/dev/stdout"
    done = subprocess.run([sys.executable, "-m", "halley.cli.main", *words], capture_output=True, check=True)
    assert done.stdout == PICTURE + WEBP
    words[4] = "/dev/null"  # as with a file: the prediction is shown to the program that reads stdout
    done = subprocess.run([sys.executable, "-m", "halley.cli.main", *words], capture_output=True, check=True)
    assert json.loads(done.stdout)["status"] == "succeeded"
    words[4] = "-"
    writing(server, ["one ", "two"])
    done = subprocess.run([sys.executable, "-m", "halley.cli.main", *words], capture_output=True, check=True)
    assert done.stdout == b"one two"
    assert list(Path().iterdir()) == []


def test_a_dash_and_json_exclude_each_other(server, capsys):
    assert run(server, "-o", "-", "--json") == 2
    assert posts(server) == []
    assert "Both -o - and --json" in capsys.readouterr().err


def test_a_text_with_a_link_stays_text(server):
    link = server.put("l", Delivered("a.png", PICTURE))
    writing(server, ["See ", link, " for more"])
    assert run(server, "-o", "a.txt") == 0
    assert Path("a.txt").read_text() == f"See {link} for more"
    assert server.asked("/delivery/") == []


def test_a_folder_is_made_and_takes_the_outputs_of_several_runs(server, capsys):
    painting(server, Delivered("a.png", PICTURE), Delivered("b.png", PICTURE))
    assert run(server, "-o", "out/") == 0
    assert run(server, "-o", "out/") == 0
    assert run(server, "-o", "out") == 0
    names = sorted(path.name for path in Path("out").iterdir())
    assert names == ["a-2.png", "a-3.png", "a.png", "b-2.png", "b-3.png", "b.png", "prediction.json"]
    writing(server, "words")
    assert run(server, "-o", "out/") == 0
    assert Path("out/output.txt").read_text() == "words"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "file/x.png"], "cannot be written"),
        (["--save", "file"], "is a file, not a folder"),
        (["-o", "file/"], "is a file, not a folder"),
        (["-o", ""], "names no file"),
        (["-o", "locked.png"], "write-protected"),
        (["--save", "kept"], "already holds another prediction"),
        (["image=@nofile"], "no file"),
        (["image=@."], "is a folder"),
        (["image=@-", "either=@-"], "only one input"),
        (["width:={"], "not JSON"),
    ],
)
def test_what_cannot_be_saved_or_read_is_refused_before_the_run(server, capsys, monkeypatch, words, said):
    Path("file").write_text("")
    Path("locked.png").write_text("")
    Path("kept").mkdir()
    Path("kept/prediction.json").write_text("{}")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "locked" not in str(path) and access(path, mode))  # for root
    assert run(server, *words) == 2
    assert said in capsys.readouterr().err
    assert server.seen == []


def test_a_missing_file_is_reported_before_a_model_is_started(capsys, monkeypatch):
    def started(path):
        raise AssertionError(path)

    monkeypatch.setattr("halley.cli.private.private_server", started)
    Path("model").mkdir()
    assert run_command(["run", "./model", "image=@nofile"]) == 2
    assert "There is no file nofile" in capsys.readouterr().err


def test_overwriting_is_said_and_keeps_permissions(server, capsys):
    Path("a.png").write_bytes(b"old")
    Path("a.png").chmod(0o600)
    painting(server, Delivered("a.png", PICTURE))
    assert run(server, "-o", "a.png") == 0
    assert "replacing the file that was there" in capsys.readouterr().err
    assert (Path("a.png").read_bytes(), stat.S_IMODE(os.stat("a.png").st_mode)) == (PICTURE, 0o600)


def test_content_that_does_not_match_the_name_is_reported(server, capsys):
    painting(server, Delivered("a.webp", WEBP, "image/webp"))
    assert run(server, "-o", "x.png") == 0
    assert "x.png has image/webp data, not image/png" in capsys.readouterr().err
    writing(server, "words")
    assert run(server, "-o", "y.png") == 0
    assert "y.png has text/plain data, not image/png" in capsys.readouterr().err


def test_one_lost_file_does_not_keep_the_others_from_being_written(server, capsys):
    painting(server, Delivered("a.png", b"", serves=0), Delivered("b.png", PICTURE))
    assert run(server, "-o", "out.png") == 3
    assert Path("out-2.png").read_bytes() == PICTURE
    assert "1 of 2 files were not saved" in capsys.readouterr().err


@pytest.fixture
def many(server: ReplicateStandIn, monkeypatch: pytest.MonkeyPatch) -> ReplicateStandIn:
    def version():
        schemas = {"Input": {"properties": MANY}, "Output": {"type": "string"}}
        return {"id": "a" * 64, "openapi_schema": {"components": {"schemas": schemas}}}

    monkeypatch.setattr("e2e.standins.painter_version", version)
    for name, data in FILES.items():
        Path(name).write_bytes(data)
    return server


def test_inputs_become_what_their_schema_takes(many):
    words = ["prompt=@README.md", "tags=a", "tags=b", "images=@a.jpg", "images=@b.jpg", "maybe=1", "maybe=2",
             "image=@a.jpg", "secret=@k", "extra=@e.json", "either=plain"]  # fmt: skip
    assert run(many, *words, prompt=False) == 0
    link = f"{many.url}/v1/files/f1"
    assert made_input(many) == {
        "prompt": "# Hi\n", "tags": ["a", "b"], "images": [link, link], "maybe": [1, 2], "image": link,
        "secret": "s3", "extra": {"n": 1}, "either": "plain",
    }  # fmt: skip
    assert [one.body.count(b"filename=") for one in many.asked("/v1/files")] == [1, 1, 1]


def test_one_value_of_a_list_is_a_list(many):
    assert run(many, "tags=a", "images=@a.jpg", "maybe:=[1]") == 0
    assert made_input(many) == {"prompt": "x", "tags": ["a"], "images": [f"{many.url}/v1/files/f1"], "maybe": [1]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["image=a.jpg"], "write image=@a.jpg"),
        (["images=a.jpg"], "write images=@a.jpg"),
        (["width=1", "width=2"], "width is given 2 times"),
        (["prompt=@a.bin"], "is not UTF-8 text"),
    ],
)
def test_what_was_surely_meant_otherwise_is_refused_with_a_hint(many, capsys, words, said):
    Path("a.bin").write_bytes(b"\xff\xfe")
    assert run(many, *words, prompt=False) == 2
    assert said in capsys.readouterr().err
    assert posts(many) == []


def test_what_may_be_meant_otherwise_is_sent_with_a_hint(many, capsys):
    assert run(many, "either=a.jpg") == 0
    assert made_input(many)["either"] == "a.jpg"
    assert "write either=@a.jpg" in capsys.readouterr().err


def test_standard_input_is_an_input(many):
    words = ["run", "acme/painter", "prompt=@-", "--server", many.url, "--token", TOKEN]
    command = [sys.executable, "-m", "halley.cli.main", *words]
    subprocess.run(command, input=b"from a pipe", capture_output=True, check=True)
    assert made_input(many) == {"prompt": "from a pipe"}
    command[5] = "image=@-"
    subprocess.run([*command, "prompt=x"], input=b"\x89PNG", capture_output=True, check=True)
    assert b"\x89PNG" in many.asked("/v1/files")[0].body


def test_a_download_can_be_written_to_a_pipe(server):
    record = {"id": "f1", "name": "a.png", "urls": {"download": server.put("l", Delivered("a.png", PICTURE))}}
    server._route = lambda handler, request: send(handler, 200, record)
    os.mkfifo("pipe")
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(Path("pipe").read_bytes()), daemon=True)
    reader.start()
    assert run_command(["files", "download", "f1", "-o", "pipe", "--server", server.url, "--token", TOKEN]) == 0
    reader.join(20)
    assert heard == [PICTURE]
