"""The real server and the official clients, each in the environment its users have."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process import ADMIN_KEY, Case, Halley

from needs import require

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "clients"


@pytest.fixture(scope="module")
def halley(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    """One server with the demo models for all tests of a module."""
    with Halley(tmp_path_factory.mktemp("halley")) as server:
        yield server


def _interpreter(client: str) -> list[str]:
    if client == "js":
        require((ROOT / "tests/e2e/js/node_modules/replicate").exists(), "the JavaScript client: scripts/install js")
        return ["node", str(ROOT / "tests/e2e/js/cases.mjs")]
    python = ROOT / ".clients" / client / "bin" / "python"
    require(python.exists(), f"the Python client: scripts/install {client}")
    return [str(python), str(SCRIPTS / f"{client}.py")]


@pytest.fixture(params=["py1", "py2", "js"])
def client(request: pytest.FixtureRequest, halley: Halley, tmp_path: Path) -> Case:
    """Run one case of a client's script against the server; returns the JSON that it printed."""
    return make_case(request.param, halley.url, halley.key, tmp_path)


@pytest.fixture
def case_of(tmp_path: Path) -> Callable[..., Case]:
    """The script of a client, by the client's name, against any address with the admin's key."""

    def case(name: str, url: str, environment: dict[str, str] | None = None) -> Case:
        return make_case(name, url, ADMIN_KEY, tmp_path, environment)

    return case


def make_case(name: str, url: str, key: str, folder: Path, environment: dict[str, str] | None = None) -> Case:
    command = _interpreter(name)

    def run(case: str, **arguments: object) -> Any:
        done = subprocess.run(
            [*command, case, json.dumps(arguments)],
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "REPLICATE_BASE_URL": url,
                "REPLICATE_API_TOKEN": key,
                **(environment or {}),
            },
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, f"{name} {case}:\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])

    run.name = name  # type: ignore[attr-defined]
    return run
