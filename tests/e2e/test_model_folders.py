"""Folders of models as people bring them: Cog's variables, an old Python, another file name, two of one name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from halley.app.wanted import wanted_models
from halley.settings import ModelSettings, Settings

pytestmark = pytest.mark.e2e

ASYNC = (
    "from cog import BaseRunner\n\n\nclass Runner(BaseRunner):\n"
    "    async def run(self, name: str) -> str:\n        return name\n"
)
SLOW = (
    "import time\nfrom cog import BaseRunner\n\n\nclass Runner(BaseRunner):\n"
    "    def setup(self) -> None:\n        time.sleep(600)\n\n"
    "    def run(self, name: str) -> str:\n        return name\n"
)


def folder(at: Path, code: str = ASYNC, name: str = "cog.yaml", cog: str = "") -> Path:
    at.mkdir(parents=True)
    (at / "run.py").write_text(code)
    if cog:
        (at / name).write_text(cog)
    return at


def halley(home: Path, *words: str, path: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "halley.cli.main", *words],
        env={"PATH": f"{path}/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check(home: Path, model: Path, *words: str, path: str = "") -> "subprocess.CompletedProcess[str]":
    return halley(home, "check", str(model), "--data", str(home / "data"), *words, path=path)


@pytest.mark.parametrize(
    ("environment", "more", "at_once"),
    [
        ("[COG_MAX_CONCURRENCY=3]", "", 3),
        ("{COG_MAX_CONCURRENCY: 3}", "concurrency: {max: 7}\n", 3),  # it counts more, as with Cog
        ("[COG_MAX_CONCURRENCY=many]", "concurrency: {max: 7}\n", 7),
    ],
)
def test_cogs_variable_says_how_many_predictions_run_at_once(tmp_path, environment, more, at_once) -> None:
    model = folder(tmp_path / "m", cog=f"run: run.py:Runner\n{more}environment: {environment}\n")
    done = check(tmp_path, model)
    assert f"at once: {at_once}" in done.stdout, done.stderr
    assert ("COG_MAX_CONCURRENCY is ignored" in done.stderr) is ("many" in environment)


def test_cogs_variable_says_how_long_setup_may_take(tmp_path) -> None:
    model = folder(tmp_path / "m", SLOW, cog="run: run.py:Runner\nenvironment: [COG_SETUP_TIMEOUT=1]\n")
    done = halley(tmp_path, "run", str(model), "name=x", "--json")
    assert done.returncode == 4, done.stderr
    assert "setup() was not done after 1 s" in json.loads(done.stdout)["error"]


def test_a_python_that_is_too_old_is_refused_by_its_version(tmp_path) -> None:
    old = tmp_path / "bin" / "python3.7"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 3.7.16 cpython /opt/python3.7\n")
    old.chmod(0o755)
    model = folder(tmp_path / "m", cog='build:\n  python_version: "3.7"\nrun: run.py:Runner\n')
    for words in ((), ("--build",)):
        done = check(tmp_path, model, *words, path=f"{old.parent}:")
        assert done.returncode == 2, done.stdout
        assert "asks for Python 3.7" in done.stderr
        assert "models run with Python 3.8 or newer" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_missing_old_python_causes_a_warning(tmp_path) -> None:
    model = folder(tmp_path / "m", cog='build:\n  python_version: "3.7"\nrun: run.py:Runner\n')
    done = check(tmp_path, model, path=f"{tmp_path}:")
    assert done.returncode == 0, done.stderr
    assert "models run with Python 3.8 or newer; it runs on Python 3." in done.stderr


def test_a_file_that_cog_would_not_read_is_named(tmp_path) -> None:
    model = folder(tmp_path / "m", name="cog.yml", cog="run: run.py:Runner\n")
    done = check(tmp_path, model)
    assert done.returncode == 2, done.stdout
    assert f"{model / 'cog.yml'} of the model local/m is not read" in done.stderr
    assert "rename it to cog.yaml" in done.stderr
    (model / "cog.yaml").write_text("run: run.py:Runner\n")
    done = check(tmp_path, model)
    assert done.returncode == 0, done.stderr
    assert f"{model / 'cog.yml'} is not read, because there is a cog.yaml in the same folder" in done.stderr


def test_two_folders_of_one_name_are_both_named(tmp_path) -> None:
    one, other = folder(tmp_path / "mine" / "m"), folder(tmp_path / "yours" / "M")
    data = ("--no-demo", "--data", str(tmp_path / "data"), "--port", "0")
    done = halley(tmp_path, "serve", str(one), str(other), *data)
    assert done.returncode == 2, done.stderr
    assert f"Two models would be named local/m: {one} and {other}" in done.stderr
    assert '[models."local/yours-m"]' in done.stderr
    (tmp_path / "halley.toml").write_text(f'[models."local/m"]\npath = "{one}"\n')
    done = halley(tmp_path, "serve", str(other), *data)
    assert done.returncode == 2, done.stderr
    assert f"{one} and {other}" in done.stderr


def test_one_folder_that_is_named_twice_is_one_model_with_its_settings(tmp_path) -> None:
    one = folder(tmp_path / "m")
    os.symlink(one, tmp_path / "link", target_is_directory=True)
    settings = Settings(data=tmp_path / "data", models={"local/m": ModelSettings(path=one, replicas=3)})
    (found,) = wanted_models(settings, [one, tmp_path / "link" / ".." / "m"], demo=False)
    assert (found.name, found.is_named, found.preload) == ("local/m", True, True)
    assert found.read().replicas == 3
