"""Each demo model as the server meets it: a folder, read and described by the runner in a child process."""

import json
import socket
import struct
import subprocess
import sys

import pytest
import yaml

from halley.demo import DEMO_FOLDER
from unit.demo.loading import COG_FOLDER

START = COG_FOLDER.parent / "start.py"

INPUTS = {
    "paint": (["prompt", "width", "height", "seed", "num_outputs", "output_format"], []),
    "text": (["prompt", "max_tokens", "seed", "delay"], ["prompt"]),
    "upscale": (["image", "scale"], ["image"]),
    "echo": (["text", "number", "ratio", "flag", "choice", "items", "file", "secret"], []),
    "sleep": (["seconds"], []),
    "fail": (["mode"], []),
    "noop": (["prompt"], []),
}


def config_of(model):
    return yaml.safe_load((DEMO_FOLDER / model / "cog.yaml").read_text())


def described(model):
    config = config_of(model)
    data, child_data = socket.socketpair()
    control, child_control = socket.socketpair()
    told = {
        "folder": str(DEMO_FOLDER / model),
        "ref": config.get("run") or config["predict"],
        "max_concurrency": config.get("concurrency", {}).get("max"),
        "environment": {},
        "memory_limit_bytes": None,
    }
    descriptors = (child_data.fileno(), child_control.fileno())
    command = [sys.executable, "-X", "utf8", str(START), "--data", str(descriptors[0]), "--control"]
    command += [str(descriptors[1]), "--mode", "inspect", "--config", json.dumps(told)]
    with data, control, data.makefile("rb") as frames:
        child = subprocess.Popen(command, pass_fds=descriptors, cwd=DEMO_FOLDER / model, stderr=subprocess.PIPE)
        child_data.close()
        child_control.close()
        found = {}
        while header := frames.read(4):
            frame = json.loads(frames.read(struct.unpack("<I", header)[0]))
            found[frame["t"]] = frame
        _, errors = child.communicate(timeout=120)
    assert child.returncode == 0, (found, errors)
    return found["described"]


def test_every_model_has_a_folder_with_the_same_three_files():
    found = {folder.name for folder in DEMO_FOLDER.iterdir() if (folder / "cog.yaml").exists()}

    assert found == set(INPUTS)
    for model in found:
        file = (config_of(model).get("run") or config_of(model)["predict"]).partition(":")[0]
        assert (DEMO_FOLDER / model / file).is_file()
        readme = (DEMO_FOLDER / model / "README.md").read_text()
        assert f"halley run demo/{model} " in readme


def test_both_vocabularies_of_cog_are_used():
    keys = {key for model in INPUTS for key in ("run", "predict") if key in config_of(model)}

    assert keys == {"run", "predict"}


@pytest.mark.parametrize("model", INPUTS)
def test_the_runner_describes_it_without_a_warning(model):
    answer = described(model)
    schemas = answer["schema"]["components"]["schemas"]
    properties = schemas["Input"]["properties"]

    assert (sorted(properties, key=lambda name: properties[name]["x-order"]), schemas["Input"].get("required", [])) == (
        INPUTS[model]
    )
    assert answer["warnings"] == []
    readme = (DEMO_FOLDER / model / "README.md").read_text()
    assert [name for name in properties if f"`{name}`" not in readme] == []


def test_what_makes_each_model_special_is_seen_by_the_runner():
    assert described("text")["streams"] is True
    assert described("upscale")["file_inputs"] is True
    assert described("noop") | {"schema": None} == {
        "t": "described",
        "schema": None,
        "async": True,
        "streams": False,
        "max_concurrency": 64,
        "file_inputs": False,
        "warnings": [],
        "healthcheck": False,
        "trains": False,
    }


def test_the_failing_model_declares_a_memory_limit():
    assert config_of("fail")["x-halley"] == {"memory_limit": "256MB"}
