"""Every model once through the real `halley` and once through Cog's own server; the tests only compare."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from cases import CASES, Results, file_of
from cogserver import CogServer, SetupFailed, reference
from process import Halley
from results import Result

from needs import require

PYTHON: Final = Path(__file__).resolve().parents[2] / ".clients" / "cog" / "bin" / "python"
AT_ONCE: Final = 3  # servers of Cog: each is two processes


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """For each model and each of its inputs: what Halley made of it, and what Cog did."""
    require(PYTHON.exists(), "Cog's own server: scripts/install cog")
    home = tmp_path_factory.mktemp("parity")
    (home / "halley").mkdir()
    (home / "cog").mkdir()
    models = {name: _copy(name, home / "halley") for name in CASES}
    config = "".join(f'[models."parity/{name}"]\npath = "{file}"\n' for name, file in models.items())
    with Halley(home, "--no-demo", config=config) as server, ThreadPoolExecutor(AT_ONCE) as pool:
        ours = {name: pool.submit(_by_halley, server, name, inputs) for name, inputs in CASES.items()}
        its = {name: pool.submit(_by_cog, server, name, inputs, home / "cog") for name, inputs in CASES.items()}
        found = {name: list(zip(ours[name].result(), its[name].result(), strict=True)) for name in models}
    CogServer.tidy()
    return found


def _copy(name: str, folder: Path) -> Path:
    """A copy in a folder of its own: models write where they stand."""
    (folder / name).mkdir()
    return Path(shutil.copy(file_of(name), folder / name))


def _by_halley(server: Halley, name: str, inputs: list[dict[str, Any]]) -> list[Result]:
    return [_predict(server, name, given) for given in inputs]


def _predict(server: Halley, name: str, given: dict[str, Any]) -> Result:
    path = f"/v1/models/parity/{name}/predictions"
    status, _, answer = server.call("POST", path, {"input": given}, headers={"Prefer": "wait=50"})
    if status >= 400:
        return Result.refused(status)
    return Result.of_halley(answer, server.url)


def _by_cog(server: Halley, name: str, inputs: list[dict[str, Any]], folder: Path) -> list[Result]:
    file = _copy(name, folder)
    status, _, model = server.call("GET", f"/v1/models/parity/{name}")
    if status != 200 or model["latest_version"] is None:
        return [Result(status="not tried: Halley cannot serve it, so there is no schema") for _ in inputs]
    schema = model["latest_version"]["openapi_schema"]
    # without it Cog's server gives no event stream
    schema["paths"]["/predictions"]["post"]["x-cog-streaming"] = True
    (file.parent / ".cog").mkdir()
    (file.parent / ".cog" / "openapi_schema.json").write_text(json.dumps(schema))
    try:
        with CogServer(file.parent, reference(file), PYTHON, name) as cog:
            return [cog.predict(given) for given in inputs]
    except SetupFailed as failed:
        return [Result(status="setup failed", error=str(failed)) for _ in inputs]
