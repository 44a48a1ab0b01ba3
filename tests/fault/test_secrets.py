"""A model looks for the secrets of its server in all of /proc; what lies in a folder never runs in our place."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from process import Halley

from needs import require
from unit.environments.packages import UV, model, wheel

pytestmark = [pytest.mark.fault, pytest.mark.e2e]

MARK: Final = f"s3cr3t-{os.urandom(6).hex()}"  # other tests may run beside these: their secrets do not count
ADMIN_KEY: Final = f"{MARK}-of-the-administrator-0123456789"
SECRETS: Final = {
    "HALLEY_ADMIN_KEY": ADMIN_KEY,
    "HALLEY_SERVER__DEBUGGABLE": "false",
    "HALLEY_TOKEN": f"{MARK}-0123456789-0123456789-0123456789",
    "REPLICATE_API_TOKEN": f"r8_{MARK}",
    "PGPASSWORD": MARK,
    "DATABASE_URL": f"postgresql://halley:{MARK}@127.0.0.1/halley",
    "PIP_EXTRA_INDEX_URL": f"https://halley:{MARK}@127.0.0.1:1/simple",
    "UV_INDEX_INNER_PASSWORD": MARK,
    "PLAIN_NAME": f"{MARK}, in a variable whose name tells nothing",
}
LOOKS: Final = """
import os, pathlib
from cog import BaseRunner


class Runner(BaseRunner):
    def run(self, words: str) -> list[str]:
        words = [word.encode() for word in words.split()]
        found = [f"environ: {name}" for name, value in os.environb.items() if any(word in value for word in words)]
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            for name in ("environ", "cmdline"):
                try:
                    content = (folder / name).read_bytes()
                except OSError:
                    continue
                if any(word in content for word in words):
                    found.append(f"{folder.name} {name}: {content[:300]!r}")
        keeper = pathlib.Path(f"/proc/{os.getppid()}/status").read_text()
        server = pathlib.Path("/proc", keeper.split("PPid:")[1].split()[0])
        for name in ("mem", "environ"):
            try:
                with open(server / name, "rb"):
                    found.append(f"{name} of the server can be opened")
            except OSError:
                pass
        return found
"""
# Root may look into everything, unless it lacks these, as in a container: CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON.
DROPS: Final = (
    "import ctypes, os, sys\n"
    "for capability in (19, 21, 38):\n"
    "    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
WITHOUT_PTRACE: Final = (sys.executable, "-c", DROPS, sys.executable, "-m", "halley.cli.main")


@pytest.fixture
def looks(tmp_path: Path) -> Path:
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / "run.py").write_text(LOOKS)
    return tmp_path / "looks"


def test_a_model_finds_no_secret_of_its_server(tmp_path, looks) -> None:
    server = Halley(tmp_path, "--no-demo", str(looks), command=WITHOUT_PTRACE, environment=SECRETS)
    with server as halley:
        path, asked = "/v1/models/local/looks/predictions", {"input": {"words": MARK}}
        _, _, made = halley.call("POST", path, asked, key=ADMIN_KEY, headers={"Prefer": "wait"})
    assert (made["status"], made["output"]) == ("succeeded", []), made


def test_a_model_that_runs_without_a_server_finds_no_secret_either(tmp_path, looks) -> None:
    done = subprocess.run(
        [*WITHOUT_PTRACE, "run", str(looks), f"words={MARK}", "--json"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "CI": "", **SECRETS},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # the words themselves are an argument of the command, which is everybody's to read
    found = [line for line in json.loads(done.stdout)["output"] if f"words={MARK}" not in line]
    assert found == []


TRAP: Final = "import pathlib\npathlib.Path({mark!r}).open('a').write(__name__ + '\\n')\nraise SystemExit(99)\n"
TRAPS: Final = (
    "msgspec",
    "json",
    "typer",
    "anyio",
    "httpx2",
    "site",
    "sitecustomize",
    "usercustomize",
    "venv",
    "ensurepip",
    "runpy",
    "subprocess",
    "tempfile",
    "logging",
)


def set_traps(folder: Path) -> Path:
    """Lay modules into a folder that tell by their name where they were run; returns what they write to."""
    mark = folder.parent / "trapped"
    for name in TRAPS:
        (folder / f"{name}.py").write_text(TRAP.format(mark=str(mark)))
    (folder / "pip").mkdir()
    for name in ("__init__", "__main__"):
        (folder / "pip" / f"{name}.py").write_text(TRAP.format(mark=str(mark)))
    return mark


def command(*words: str, cwd: Path, home: Path, path: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(Path(sys.executable).with_name("halley")), *words],
        env={"PATH": f"{path}/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(home), **more},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_modules_in_the_folder_where_the_caller_stands_are_not_run(tmp_path) -> None:
    (tmp_path / "work").mkdir()
    trapped = set_traps(tmp_path / "work")
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "run.py").write_text(
        "from cog import BaseRunner\n\n\nclass Runner(BaseRunner):\n"
        "    def run(self, name: str) -> str:\n        return 'Hello, ' + name\n"
    )
    done = command("run", str(tmp_path / "hello"), "name=Edmond", cwd=tmp_path / "work", home=tmp_path)
    assert not trapped.exists(), trapped.read_text()
    assert done.returncode == 0, done.stderr
    assert "Hello, Edmond" in done.stdout


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_modules_in_a_models_folder_are_not_run_by_what_builds_its_environment(tmp_path, tool) -> None:
    if tool == "uv":
        require(UV is not None, "uv")
    wheel(tmp_path / "wheels", "greeter", "1.0", "WORD = 'Hello'\n")
    folder = model(tmp_path / "greets", "greeter", wheels=tmp_path / "wheels")
    trapped = set_traps(Path(folder))
    (tmp_path / "halley.toml").write_text(f'[environments]\ntool = "{tool}"\n')
    config = ("--data", str(tmp_path / "data"), "--config", str(tmp_path / "halley.toml"))
    done = command(
        "check", str(folder), "--build", *config, cwd=tmp_path, home=tmp_path, path=f"{Path(UV or '.').parent}:"
    )
    assert not trapped.exists(), trapped.read_text()
    assert done.returncode == 0, done.stderr


def test_a_models_own_modules_do_not_stand_in_for_those_of_the_runner(tmp_path) -> None:
    folder = tmp_path / "named-alike"
    folder.mkdir()
    for name in sorted(sys.stdlib_module_names - {"run", "this", "antigravity"}):
        (folder / f"{name}.py").write_text(f"raise ImportError('the {name} of the model')\n")
    (folder / "run.py").write_text(
        "from cog import AsyncConcatenateIterator, BaseRunner\n\n\nclass Runner(BaseRunner):\n"
        "    async def run(self, name: str) -> AsyncConcatenateIterator[str]:\n        yield 'Hello, ' + name\n"
    )
    done = command("run", str(folder), "name=Edmond", cwd=tmp_path, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Hello, Edmond" in done.stdout


@pytest.mark.parametrize("way", ["auto", "plain"])
def test_modules_that_a_model_names_in_pythonpath_do_not_stand_in_for_those_of_the_runner(tmp_path, way) -> None:
    folder = tmp_path / "named-alike"
    (folder / "lib").mkdir(parents=True)
    for name in ("json", "socket", "threading", "asyncio", "inspect", "ctypes", "select", "typing"):
        (folder / "lib" / f"{name}.py").write_text(f"raise ImportError('the {name} of the model')\n")
    (folder / "lib" / "greeter.py").write_text("WORD = 'Hello, '\n")
    (folder / "cog.yaml").write_text("run: run.py:Runner\nenvironment: [PYTHONPATH=lib]\n")
    (folder / "run.py").write_text(
        "import os\nfrom cog import BaseRunner\nfrom greeter import WORD\n\nos.chdir('/')\n\n\n"
        "class Runner(BaseRunner):\n"
        "    async def run(self, name: str) -> str:\n        return WORD + name\n"
    )
    done = command("run", str(folder), "name=Edmond", cwd=tmp_path, home=tmp_path, HALLEY_ISOLATION__MODE=way)
    assert done.returncode == 0, done.stderr
    assert "Hello, Edmond" in done.stdout
