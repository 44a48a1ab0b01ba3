"""What models write stays with the process that wrote it, in both ways of keeping processes apart."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from process import ADMIN_KEY, Halley

pytestmark = pytest.mark.e2e

PATIENCE_SECONDS: Final = 120.0
EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"
WAYS: Final = {"best": "", "plain": 'isolation = "plain"\n'}
"""The settings of each way; `best` is isolated where this machine allows it."""

WRITES: Final = """
import logging, os, time
from cog import BaseRunner, Path

logging.basicConfig(filename="app.log", level=logging.INFO)
BESIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "beside.txt")


class Runner(BaseRunner):
    def setup(self):
        if not os.path.exists("weights"):
            print("downloading weights")
            os.makedirs("weights")
            with open("weights/model.bin", "w") as file:
                file.write("downloaded")

    def run(self, text: str = "x", seconds: float = 0.05) -> list[Path]:
        logging.info("running %s", text)
        if text == "large":
            return [Path("large.bin"), Path("weights/model.bin")]
        for name in ("output.png", BESIDE):
            with open(name, "w") as file:
                file.write(text)
        time.sleep(seconds)
        return [Path("output.png"), Path(BESIDE)]
"""
TEMPORARY: Final = """
import os, tempfile
from cog import BaseRunner, Path


class Runner(BaseRunner):
    def setup(self):
        self.kept = tempfile.mkdtemp()
        with open(os.path.join(self.kept, "of setup"), "w") as file:
            file.write("kept")

    def run(self, text: str = "x") -> Path:
        with open(os.path.join(self.kept, "of setup")) as file:
            assert file.read() == "kept"
        folder = tempfile.mkdtemp()
        with open(os.path.join(folder, "frames.raw"), "wb") as file:
            file.write(bytes(100_000))
        out = Path(folder) / "out.png"
        out.write_text(text)
        return out
"""
SHARED: Final = """
import time
from cog import BaseRunner, Path

NAME = "/tmp/halley-test-%s.png"


class Runner(BaseRunner):
    def run(self, text: str, name: str) -> Path:
        with open(NAME % name, "w") as file:
            file.write(text)
        time.sleep(0.3)
        return Path(NAME % name)
"""
LINKS: Final = """
import os
from cog import BaseRunner


class Runner(BaseRunner):
    def run(self, text: str) -> str:
        with open("latest/out.txt", "w") as file:
            file.write(text)
        with open("weights/deep/model.bin") as file:
            return file.read()
"""
FAILS_ONCE: Final = """
import os
from cog import BaseRunner


class Runner(BaseRunner):
    def setup(self):
        if os.path.exists("half.bin"):
            raise RuntimeError("found what a failed setup left")
        with open("half.bin", "w") as file:
            file.write("half")
        if not os.path.exists(os.environ["MARK"]):
            raise RuntimeError("the connection broke")

    def run(self) -> str:
        return "set up"
"""


class World:
    """A server with one model `a/m`."""

    def __init__(self, home: Path, code: str, *, way: str, more: str = "", arguments: tuple[str, ...] = ()) -> None:
        self.model = home / "m"
        self.model.mkdir()
        (self.model / "run.py").write_text(code)
        (self.model / "cog.yaml").write_text("run: run.py:Runner\n")
        config = WAYS.get(way, way) + f"[runs]\nlease_seconds = 1.0\nheartbeat_seconds = 0.4\nmax_attempts = 9\n{more}"
        self.config = config
        self.halley = Halley(home, "--no-demo", *arguments, config=self.configured())

    def configured(self, replicas: int = 2) -> str:
        return self.config + f'[models."a/m"]\npath = "{self.model}"\nreplicas = {replicas}\npreload = true\n'

    def create(self, version: str | None = None, **given: Any) -> str:
        path = "/v1/models/a/m/predictions" if version is None else "/v1/predictions"
        body = {"input": given} | ({} if version is None else {"version": version})
        status, _, made = self.halley.call("POST", path, body)
        assert status == 201, made
        return str(made["id"])

    def ended(self, made: str) -> Any:
        wait_until(f"{made} has ended", lambda: self.get(made)["status"] not in {"starting", "processing"})
        return self.get(made)

    def get(self, made: str) -> Any:
        return self.halley.call("GET", f"/v1/predictions/{made}")[2]

    def texts(self, made: str) -> list[str]:
        found = self.ended(made)
        assert found["status"] == "succeeded", found["error"]
        links = found["output"] if isinstance(found["output"], list) else [found["output"]]
        return [self.halley.call("GET", link)[2].decode() for link in links]

    @property
    def version(self) -> str:
        return str(self.halley.call("GET", "/v1/models/a/m")[2]["latest_version"]["id"])

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.model)) for path in self.model.rglob("*"))

    def log(self) -> str:
        return self.halley.output.read_text(errors="replace")

    def replicas(self) -> list[Any]:
        rows = self.halley.call("GET", "/v1/replicas")[2]["results"]
        return [row for row in rows if row["pid"] is not None and row.get("isolation", "off") is not None]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.halley.home), "NO_COLOR": "1"}
        environment |= {"HALLEY_SERVER": self.halley.url, "HALLEY_TOKEN": ADMIN_KEY}
        return subprocess.run(
            [sys.executable, "-m", "halley.cli.main", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def wait_until(what: str, is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, f"it is never so that {what}"
        time.sleep(0.02)


@pytest.mark.parametrize("way", WAYS)
def test_what_a_model_writes_makes_no_other_version(tmp_path: Path, way: str) -> None:
    world = World(tmp_path, WRITES, way=way, arguments=("--reload",))
    (world.model / "large.bin").write_bytes(b"x" * 9_000_000)
    with world.halley as halley:
        before, version = world.files(), world.version
        made = [world.create(text=f"text {number}") for number in range(12)]
        assert [world.texts(one) for one in made] == [[f"text {number}"] * 2 for number in range(12)]
        large, weights = world.texts(world.create(text="large"))
        assert (len(large), weights) == (9_000_000, "downloaded"), "files of the author and of setup are given out"
        made.append(world.create(text="last", seconds=1))
        halley.kill()
        halley.start()
        assert world.texts(made[-1]) == ["last", "last"]
        assert world.texts(world.create(version, text="pinned")) == ["pinned", "pinned"]
        time.sleep(2.5)  # two looks at the folder
        assert world.version == version
    assert world.files() == before
    assert "reloading" not in world.log()
    assert world.log().count("downloading weights") == 1, "two processes and a restart download once"
    assert not (tmp_path / "data" / "scratch").exists()


@pytest.mark.parametrize("way", WAYS)
def test_files_that_a_prediction_left_are_removed_at_its_end(tmp_path: Path, way: str) -> None:
    world = World(tmp_path, TEMPORARY, way=way)

    def left() -> list[Path]:
        files = [path for path in (tmp_path / "data" / "scratch").rglob("*") if path.is_file() and path.stat().st_size]
        return [path for path in files if path.name in {"frames.raw", "out.png"}]

    with world.halley:
        wait_until("both processes are there", lambda: len(world.replicas()) == 2)
        for number in range(4):
            assert world.texts(world.create(text=f"text {number}")) == [f"text {number}"]
        wait_until("nothing of them is left", lambda: not left())
        assert len(list((tmp_path / "data" / "scratch").rglob("of setup"))) == 2, "what setup made stays"


@pytest.mark.parametrize("way", WAYS)
def test_a_name_in_the_shared_temporary_folder_is_kept_apart_or_warned_of(tmp_path: Path, way: str) -> None:
    name = f"{os.getpid()}-{way}"
    path = Path(f"/tmp/halley-test-{name}.png")
    world = World(tmp_path, SHARED, way=way)
    try:
        with world.halley:
            wait_until("both processes are there", lambda: len(world.replicas()) == 2)
            made = [world.create(text=f"text {number}", name=name) for number in range(6)]
            ended = [world.ended(one) for one in made]
            if world.replicas()[0].get("isolation") == "isolated":
                assert [world.texts(one) for one in made] == [[f"text {number}"] for number in range(6)]
                assert not path.exists()
            else:
                wait_until("the log warns of it", lambda: f"warning: {path} was written by process" in world.log())
                assert any(str(path) in one["logs"] for one in ended)
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("way", WAYS)
def test_links_of_the_author_lead_to_weights_and_not_out_of_the_place(tmp_path: Path, way: str) -> None:
    world = World(tmp_path, LINKS, way=way)
    (world.model / "runs").mkdir()
    (world.model / "weights").mkdir()
    (world.model / "latest").symlink_to("runs")
    with tempfile.TemporaryDirectory(prefix="halley-test-weights-", dir="/tmp") as weights:
        (Path(weights) / "model.bin").write_text("of the author")
        (world.model / "weights" / "deep").symlink_to(weights)
        with world.halley:
            found = world.ended(world.create(text="x"))
            assert (found["output"], found["error"]) == ("of the author", None)
    assert not list((world.model / "runs").iterdir())


def test_what_a_failed_setup_wrote_is_dropped(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    world = World(tmp_path, FAILS_ONCE, way="best")
    (world.model / "cog.yaml").write_text(f"run: run.py:Runner\nenvironment: [MARK={mark}]\n")
    with world.halley:
        failed = world.ended(world.create())
        assert "the connection broke" in failed["error"]
        mark.write_text("")
        wait_until("it comes up", lambda: world.ended(world.create())["status"] == "succeeded")


def test_setup_is_cleared_by_the_command(tmp_path: Path) -> None:
    world = World(tmp_path, WRITES, way="plain")
    with world.halley as halley:
        assert world.texts(world.create()) == ["x", "x"]
        done = world.command("models", "clear-setup", "a/m")
        assert done.returncode == 0, done.stderr
        assert "Cleared" in done.stderr
        done = world.command("models", "clear-setup", "a/m", "--json")
        assert json.loads(done.stdout) == {"model": "a/m", "cleared_bytes": None}
        assert world.command("models", "clear-setup", "a/none").returncode != 0
        assert world.texts(world.create(text="goes on")) == ["goes on", "goes on"]
        halley.stop()
        halley.start()
        assert world.texts(world.create()) == ["x", "x"]
    assert world.log().count("downloading weights") == 2


def test_check_ps_and_the_log_say_which_way_is_in_force(tmp_path: Path) -> None:
    world = World(tmp_path, TEMPORARY, way="plain")
    with world.halley:
        wait_until("it runs", lambda: len(world.replicas()) == 2)
        shown = world.command("ps")
    assert "plain" in shown.stdout
    assert "isolation.mode is plain" in shown.stderr
    assert "kept apart: plain: isolation.mode is plain" in world.log()
    for way in ("plain", "off"):
        (tmp_path / "halley.toml").write_text(f'isolation = "{way}"\n')
        done = world.command("check", str(world.model), "--config", str(tmp_path / "halley.toml"))
        assert f"ISOLATION  {way}: isolation.mode is {way}" in done.stdout, done.stderr
    done = world.command("check", str(world.model), "--json")
    assert json.loads(done.stdout)["isolation"]["way"] in {"isolated", "plain"}
    assert not list(tmp_path.rglob("halley-check-*"))


def test_ids_that_a_models_files_made_are_run_after_the_upgrade(tmp_path: Path) -> None:
    """`off` is how earlier releases ran models, and what they stored."""
    world = World(tmp_path, WRITES, way='isolation = "off"\n')
    earlier = []
    for _ in range(2):
        with world.halley:
            earlier.append(world.version)
            assert world.ended(world.create())["status"] == "succeeded"
            waiting = [world.create(text=f"text {number}", seconds=1) for number in range(4)]
            world.halley.kill()
    assert len(set(earlier)) == 2
    written = world.files()
    (tmp_path / "halley.toml").write_text(world.configured().replace("off", "auto"))
    with world.halley:
        assert [world.texts(one)[0] for one in waiting] == [f"text {number}" for number in range(4)]
        assert world.version not in earlier
        for version in (*earlier, world.version):
            assert world.texts(world.create(version, text="pinned")) == ["pinned", "pinned"]
        assert len({row["version"] for row in world.replicas()}) == 1, "no processes of their own"
    assert world.files() == written
    (world.model / "run.py").write_text(WRITES + "\nNEW = True\n")
    with world.halley:
        status, _, _ = world.halley.call("POST", "/v1/predictions", {"version": earlier[0], "input": {}})
        assert status == 422, "another code is another version"


def test_the_example_that_writes_beside_itself_keeps_its_version(tmp_path: Path) -> None:
    document = "data:text/plain,pear%0Aapple%0A"
    world = World(tmp_path, "", way="best")
    world.model.joinpath("run.py").write_bytes((EXAMPLES / "command" / "run.py").read_bytes())
    versions = set()
    for _ in range(2):
        with world.halley:
            versions.add(world.version)
            assert world.texts(world.create(document=document)) == ["apple\npear\n"]
    assert len(versions) == 1
