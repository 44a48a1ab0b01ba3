"""The seed: query a prediction under /replicate/v1, and keep its assets before their links die."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from process import Halley

from needs import require

pytestmark = pytest.mark.e2e

MODELS = Path(__file__).parent / "models"
# the seed's documented field set (contract section 7, CometAPI), by the types its page names
SEED_FIELDS: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "input": (dict,),
    "model": (str,),
    "output": (list, str, type(None)),
    "status": (str,),
    "created_at": (str,),
    "data_removed": (bool,),
    "logs": (str,),
    "urls": (dict,),
    "error": (str, type(None)),
    "metrics": (dict,),
    "version": (str,),
    "started_at": (str, type(None)),
    "completed_at": (str, type(None)),
}


@pytest.fixture(scope="module")
def halley(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    with Halley(tmp_path_factory.mktemp("seed"), str(MODELS / "big")) as server:
        yield server


def query(halley: Halley, prediction_id: str) -> dict[str, Any]:
    """The seed's request with curl, as its page shows it."""
    require(shutil.which("curl"), "curl: scripts/install tools")
    done = subprocess.run(
        ["curl", "-sS", "--request", "GET", "--header", f"Authorization: Bearer {halley.key}",
         f"{halley.url}/replicate/v1/predictions/{prediction_id}"],
        capture_output=True,
        check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def check_shape(seen: dict[str, Any]) -> None:
    for name, kinds in SEED_FIELDS.items():
        assert name in seen, name
        assert isinstance(seen[name], kinds), (name, seen[name])
    assert {"get", "cancel", "stream"} <= seen["urls"].keys()
    for name in ("get", "cancel", "stream", "web"):
        assert isinstance(seen["urls"][name], str)
    assert "/replicate/v1/predictions/" in seen["urls"]["get"]
    assert len(seen["version"]) == 64
    for name in ("created_at", "started_at", "completed_at"):
        if seen[name] is not None:
            assert seen[name].endswith("Z")
            datetime.fromisoformat(seen[name])


def test_every_field_before_during_and_after_the_run(halley: Halley) -> None:
    # the replica of demo/sleep takes one at a time: the second is seen waiting while the first runs
    path = "/replicate/v1/models/demo/sleep/predictions"
    _, _, first = halley.call("POST", path, {"input": {"seconds": 1.5}})
    _, _, second = halley.call("POST", path, {"input": {"seconds": 0.2}})
    seen: dict[str, list[dict[str, Any]]] = {}
    for _ in range(600):
        answers = [query(halley, made["id"]) for made in (first, second)]
        for answer in answers:
            check_shape(answer)
            seen.setdefault(answer["status"], []).append(answer)
        if answers[1]["status"] == "succeeded":
            break
    assert {"starting", "processing", "succeeded"} <= seen.keys()
    waiting, running, done = (seen[status][-1] for status in ("starting", "processing", "succeeded"))
    assert (waiting["started_at"], waiting["completed_at"], waiting["output"]) == (None, None, None)
    assert running["started_at"] is not None
    assert running["completed_at"] is None
    assert done["completed_at"] is not None
    assert done["error"] is None
    assert done["metrics"]["predict_time"] > 0
    assert query(halley, first["id"])["logs"].count("%|") > 1


def test_images_are_counted_as_the_seed_documents(halley: Halley) -> None:
    _, _, made = halley.call(
        "POST",
        "/replicate/v1/models/demo/paint/predictions",
        {"input": {"prompt": "a paper boat", "num_outputs": 2, "width": 64, "height": 64}},
        headers={"Prefer": "wait"},
    )
    seen = query(halley, made["id"])
    check_shape(seen)
    assert seen["metrics"]["image_count"] == 2
    assert len(seen["output"]) == 2
    for link in seen["output"]:
        status, headers, content = halley.call("GET", link, key=None)
        assert (status, headers["content-type"]) == (200, "image/webp")
        assert content[:4] == b"RIFF"


def test_a_failed_one_says_why(halley: Halley) -> None:
    _, _, made = halley.call(
        "POST",
        "/replicate/v1/models/demo/fail/predictions",
        {"input": {"mode": "raise"}},
        headers={"Prefer": "wait"},
    )
    seen = query(halley, made["id"])
    check_shape(seen)
    assert (seen["status"], seen["output"]) == ("failed", None)
    assert "asked to fail" in seen["error"]


def _has_content(part: Path) -> bool:
    try:
        return part.stat().st_size > 0
    except FileNotFoundError:  # it has its final name now
        return False


def test_the_flow_as_a_client_interrupted_in_the_middle_of_saving(halley: Halley, tmp_path: Path) -> None:
    _, _, made = halley.call("POST", "/replicate/v1/predictions", {"version": "local/big", "input": {}})
    folder = tmp_path / "kept"
    command = [
        sys.executable, "-m", "halley.cli.main", "predictions", "watch", made["id"], "--save", str(folder),
        "--server", f"{halley.url}/replicate/v1", "--token", halley.key, "--json",
    ]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_COLOR": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        end = time.monotonic() + 120
        while time.monotonic() < end and first.poll() is None:
            if any(map(_has_content, folder.glob("*.bin.part"))):
                break
        first.kill()
        assert first.wait(120) == -signal.SIGKILL, "it was not interrupted in the middle"
    assert list(folder.glob("*.bin.part"))

    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert second.returncode == 0, second.stderr
    assert not list(folder.glob("*.part"))
    record = json.loads((folder / "prediction.json").read_text())
    assert record["prediction"]["id"] == made["id"]
    assert record["prediction"]["status"] == "succeeded"
    assets = record["assets"]
    assert len(assets) == 4
    for n, asset in enumerate(assets):
        content = (folder / asset["file"]).read_bytes()
        assert len(content) == asset["size"] == 24 * 2**20
        assert hashlib.sha256(content).hexdigest() == asset["sha256"]
        assert content == hashlib.sha256(str(n).encode()).digest() * 32768 * 24

    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.suffix == ".bin"}
    third = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert third.returncode == 0, third.stderr
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.suffix == ".bin"}


def test_show_is_the_seeds_request(halley: Halley, tmp_path: Path) -> None:
    _, _, made = halley.call(
        "POST", "/v1/predictions", {"version": "demo/noop", "input": {"prompt": "x"}}, headers={"Prefer": "wait"}
    )
    done = subprocess.run(
        [sys.executable, "-m", "halley.cli.main", "predictions", "show", made["id"],
         "--server", f"{halley.url}/replicate/v1", "--token", halley.key],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    check_shape(json.loads(done.stdout))
