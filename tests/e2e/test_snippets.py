"""The code that the playground shows, run as it is: each client, each way, the demo models, a real server."""

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from process import Halley
from receiver import Receiver

from halley.web.snippets.code import code_for
from halley.web.snippets.request import WAYS, WEBHOOK, Client, SnippetRequest, Way, output_kind
from needs import require

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
SEED = 7
PAINT = {"prompt": 'misty "forest"\n$HOME `id` \u202e', "seed": SEED, "num_outputs": 2, "width": 64, "height": 64}
INPUTS: dict[str, dict[str, Any]] = {
    "paint": PAINT,
    "text": {"prompt": "A function is", "max_tokens": 12, "seed": SEED},
    "sleep": {"seconds": 0.1},
    "noop": {"prompt": "</script> 日本語"},
    "echo": {"text": "it's 'quoted'\\", "flag": False, "ratio": 1e-3, "items": ["--x", "@y", '"z"'], "number": -5},
}
PROGRAMS: list[Client] = ["python", "python2", "javascript", "curl", "halley"]


@pytest.fixture(scope="module")
def halley(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    with Halley(tmp_path_factory.mktemp("snippets")) as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def command_of(client: Client) -> list[str]:
    match client:
        case "python" | "python2":
            name = "py1" if client == "python" else "py2"
            python = ROOT / ".clients" / name / "bin" / "python"
            require(python.exists(), f"the Python client: scripts/install {name}")
            return [str(python), "-"]
        case "javascript":
            require(
                (ROOT / "tests/e2e/js/node_modules/replicate").exists(), "the JavaScript client: scripts/install js"
            )
            return ["node", "--input-type=module", "-"]
        case _:
            return ["sh", "-eu"]


def run(halley: Halley, client: Client, code: str, folder: Path) -> str:
    """Run a snippet in a folder of its own; returns what it printed."""
    folder.mkdir()
    if client == "javascript":  # Node.js looks for packages beside the program
        (folder / "node_modules").symlink_to(ROOT / "tests/e2e/js/node_modules")
    done = subprocess.run(
        command_of(client),
        input=code,
        cwd=folder,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "REPLICATE_API_TOKEN": halley.key,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@functools.cache
def latest(halley: Halley, name: str) -> tuple[str, Any]:
    """The newest version of a demo model, and the schema of its output."""
    _, _, model = halley.call("GET", f"/v1/models/demo/{name}")
    version = model["latest_version"]
    return version["id"], version["openapi_schema"]["components"]["schemas"]["Output"]


def asked(halley: Halley, name: str, *, pinned: bool = False) -> SnippetRequest:
    version, schema = latest(halley, name)
    return SnippetRequest(
        base_url=halley.url,
        model=f"demo/{name}",
        version=version if pinned else None,
        input=INPUTS[name],
        output=output_kind(schema),
    )


def newest(halley: Halley, name: str) -> dict[str, Any]:
    """The newest prediction of a model, once it has ended: not every program waits for that."""
    _, _, page = halley.call("GET", "/v1/predictions")
    found: dict[str, Any] = next(one for one in page["results"] if one["model"] == f"demo/{name}")
    while found["status"] in {"starting", "processing"}:  # the test's time limit is the bound
        _, _, found = halley.call("GET", f"/v1/predictions/{found['id']}", headers={"Prefer": "wait=30"})
    return found


@pytest.mark.parametrize("client", PROGRAMS)
def test_each_demo_model_runs_with_exactly_the_input(client: Client, halley: Halley, tmp_path: Path) -> None:
    names = list(INPUTS)
    with ThreadPoolExecutor(2) as pool:
        list(
            pool.map(
                lambda name: run(halley, client, code_for(client, "wait", asked(halley, name)), tmp_path / name), names
            )
        )
    for name in names:
        made = newest(halley, name)
        assert made["status"] == "succeeded"
        assert {key: made["input"][key] for key in INPUTS[name]} == INPUTS[name]
    if client != "curl":  # which prints links
        pictures = [path for path in (tmp_path / "paint").rglob("*") if path.is_file() and path.suffix == ".webp"]
        assert [path.read_bytes()[:4] for path in pictures] == [b"RIFF"] * 2


@pytest.mark.parametrize("client", PROGRAMS)
def test_each_way_with_a_version_of_its_own(client: Client, halley: Halley, receiver: Receiver, tmp_path: Path) -> None:
    def outcome(way: Way) -> str:
        code = code_for(client, way, asked(halley, "text", pinned=True)).replace(WEBHOOK, receiver.url)
        return run(halley, client, code, tmp_path / way)

    with ThreadPoolExecutor(2) as pool:
        printed = dict(zip(WAYS, pool.map(outcome, WAYS), strict=True))
    text = "".join(newest(halley, "text")["output"])
    for way in ("wait", "poll", "stream"):
        assert words_in(text) in words_in(printed[way]), way
    if client != "halley":  # it has no such option, and says so
        arrived = receiver.wait(bool)
        assert arrived[0].body["id"] in printed["webhook"]


def words_in(text: str) -> str:
    """Letters only: programs print a text whole, as a list of its pieces, as JSON, or as events."""
    lines = [line for line in text.split("\n") if not line.startswith(("event: ", "id: ", ": "))]
    plain = "".join(line.removeprefix("data: ") for line in lines).replace("\\n", "")
    return "".join(one for one in plain if one.isalpha())


@pytest.mark.parametrize("client", ["python", "halley"])
def test_files_come_after_polling_too(client: Client, halley: Halley, tmp_path: Path) -> None:
    run(halley, client, code_for(client, "poll", asked(halley, "paint")), tmp_path / "poll")
    pictures = [path for path in (tmp_path / "poll").rglob("*.webp") if path.is_file()]
    assert [path.read_bytes()[:4] for path in pictures] == [b"RIFF"] * 2
