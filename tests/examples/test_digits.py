"""examples/digits in the environment that its requirements ask for, which Halley builds here from nothing."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from process import Halley

import halley
from needs import require

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

EXAMPLE: Final = Path(__file__).resolve().parents[2] / "examples" / "digits"
BUILD_SECONDS: Final = 380
# One row of pixels a word, a hexadecimal digit of ink each.
DRAWN: Final = {
    0: "005d9100 00dfaf50 03f20b80 04c00880 05800980 04b01c70 02e5ac00 006da000",
    4: "0001b000 00078000 001d6220 007f0980 05fa0f60 04ffdf10 0003fa00 0002f400",
    7: "0078dff1 00774bc0 00008d10 0488ff60 02bff400 000f5000 009f1000 00d50000",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    home = tmp_path_factory.mktemp("digits")
    folder = Path(shutil.copytree(EXAMPLE, home / "digits", ignore=shutil.ignore_patterns("__pycache__")))
    built = subprocess.run(
        [sys.executable, "-m", "halley.cli.main", "check", str(folder), "--build", "--data", str(home / "data")],
        env={**os.environ, "XDG_CONFIG_HOME": str(home / "config")},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    require(built.returncode == 0, f"packages for examples/digits: {built.stdout[-500:]}{built.stderr[-500:]}")
    with Halley(home, "--no-demo", str(folder)) as running:
        yield running


def picture(digit: int, *, ink: int = 0, paper: int = 255) -> str:
    """The digit as a picture of 96 by 96 pixels."""
    rows = [[int(letter, 16) / 15 for letter in row] for row in DRAWN[digit].split()]
    small = Image.new("L", (8, 8))
    small.putdata([round(paper + (ink - paper) * share) for row in rows for share in row])
    large = Image.new("L", (96, 96), paper)
    large.paste(small.resize((64, 64), Image.Resampling.BICUBIC), (16, 16))
    file = io.BytesIO()
    large.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def predict(server: Halley, image: str) -> Any:
    path = "/v1/models/local/digits/predictions"
    _, _, answer = server.call("POST", path, {"input": {"image": image}}, headers={"Prefer": "wait=55"})
    return answer


@pytest.mark.parametrize("digit", DRAWN)
def test_digit_is_read(digit: int, server: Halley) -> None:
    answer = predict(server, picture(digit))
    assert (answer["status"], answer["error"]) == ("succeeded", None)
    assert answer["output"]["digit"] == digit
    assert len(answer["output"]["probabilities"]) == 10
    assert sum(answer["output"]["probabilities"]) == pytest.approx(1, abs=0.001)
    assert answer["metrics"]["confidence"] == pytest.approx(answer["output"]["probabilities"][digit], abs=0.001)


def test_light_on_dark_reads_the_same(server: Halley) -> None:
    assert predict(server, picture(4, ink=250, paper=10))["output"]["digit"] == 4


def test_empty_picture_fails_in_plain_words(server: Halley) -> None:
    answer = predict(server, picture(0, ink=255))
    assert answer["error"].startswith("ValueError: nothing is on this picture")


def test_training_gives_weights_and_its_accuracy(server: Halley) -> None:
    """As its authors would: in the environment, beside the runner's own `cog`."""
    python = next((server.home / "data" / "envs").glob("*/bin/python"))
    cog = Path(halley.__file__).parent / "runner" / "path"
    trained = (
        "import json, train, run\n"
        "done = train.train(test_share=0.2, strength=1.0, seed=0)\n"
        "runner = run.Runner(); runner.setup(weights=done.weights)\n"
        "print(json.dumps([str(done.weights), done.accuracy, list(runner.coefficients.shape)]))\n"
    )
    done = subprocess.run(
        [str(python), "-c", trained],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(cog), str(server.home / "digits")])},
        cwd=server.home,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    weights, accuracy, shape = json.loads(done.stdout.splitlines()[-1])
    assert (weights, shape) == ("weights.npz", [10, 64])
    assert accuracy > 0.9
