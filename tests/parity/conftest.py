"""Every model once through the real `halley`, once through Cog's own server, and once through both: `kind = "cog"`.

The tests only compare.
"""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from cases import CASES, OLD, PLAIN, STATEFUL, Found, Results, file_of
from cogserver import CogServer, SetupFailed
from process import Halley
from results import Result

from needs import require

PYTHON: Final = Path(__file__).resolve().parents[2] / ".clients" / "cog" / "bin" / "python"
OLD_PYTHON: Final = PYTHON.parents[2] / "cog09" / "bin" / "python"
PATIENCE_SECONDS: Final = 120.0
AT_ONCE: Final = 3  # servers of Cog: each is two processes


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """For each model and each of its inputs: what Halley made of it, what Cog did, and what came through both."""
    require(PYTHON.exists(), "Cog's own server: scripts/install cog")
    home = tmp_path_factory.mktemp("parity")
    (home / "halley").mkdir()
    (home / "cog").mkdir()
    models = {name: _copy(name, home / "halley") for name in CASES}
    cogs = {name: CogServer(_copy(name, home / "cog"), PYTHON, name) for name in CASES}
    config = "".join(_settings(name, file, cogs[name]) for name, file in models.items())
    with Halley(home, "--no-demo", config=config) as server:

        def find(name: str) -> Found:
            ours = _by_halley(server, name, CASES[name])
            return list(zip(ours, *_by_cog(server, cogs[name], name, CASES[name]), strict=True))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = Results(pool, find, CASES)
    CogServer.tidy()
    return found


@pytest.fixture(scope="module")
def other_results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """For some models and each of their inputs: what Halley made of it, and what came through it from Cog 0.9 or from a
    server of now that gives no event stream.
    """
    require(PYTHON.exists(), "Cog's own server: scripts/install cog")
    require(OLD_PYTHON.exists(), "Cog 0.9: scripts/install cog09")
    home = tmp_path_factory.mktemp("parity-others")
    (home / "halley").mkdir()
    (home / "cog").mkdir()
    pythons = dict.fromkeys(OLD, OLD_PYTHON) | dict.fromkeys(PLAIN, PYTHON)
    cogs = {name: CogServer(_copy(name, home / "cog"), python, name) for name, python in pythons.items()}
    config = "".join(_settings(name, _copy(name, home / "halley"), cog) for name, cog in cogs.items())
    with Halley(home, "--no-demo", config=config) as server, ThreadPoolExecutor(AT_ONCE) as pool:
        return Results(pool, lambda name: _by_both(server, cogs[name], name, CASES[name]), cogs)


def _by_both(server: Halley, cog: CogServer, name: str, inputs: list[dict[str, Any]]) -> Found:
    (cog.folder / "cog.yaml").write_text(f'predict: "{cog.reference}"\n')
    if name in PLAIN:
        _give_schema(cog, _schema(server, name))
    with cog:
        return [tuple(_predict(server, f"{owner}/{name}", one)[0] for owner in ("parity", "through")) for one in inputs]


def _settings(name: str, file: Path, cog: CogServer) -> str:
    provider = name.replace(".", "-")
    return (
        f'[models."parity/{name}"]\npath = "{file}"\n'
        f'[providers.{provider}]\nkind = "cog"\nurl = "{cog.url}"\n'
        f'[routes."through/{name}"]\nproviders = ["{provider}"]\n'
    )


def _copy(name: str, folder: Path) -> Path:
    """A copy in a folder of its own: models write where they stand."""
    (folder / name).mkdir()
    return Path(shutil.copy(file_of(name), folder / name))


def _by_halley(server: Halley, name: str, inputs: list[dict[str, Any]]) -> list[Result]:
    return [_predict(server, f"parity/{name}", given)[0] for given in inputs]


def _predict(server: Halley, model: str, given: dict[str, Any]) -> tuple[Result, str]:
    """The result, and the id of the prediction."""
    path = f"/v1/models/{model}/predictions"
    status, _, answer = server.call("POST", path, {"input": given}, headers={"Prefer": "wait=50"})
    if status >= 400:
        return Result.refused(status), ""
    end = time.monotonic() + PATIENCE_SECONDS
    while answer["completed_at"] is None and time.monotonic() < end:  # a busy machine may need longer than one wait
        time.sleep(0.1)
        _, _, answer = server.call("GET", f"/v1/predictions/{answer['id']}")
    return Result.of_halley(answer, server.url), answer["id"]


def _by_cog(
    server: Halley, cog: CogServer, name: str, inputs: list[dict[str, Any]]
) -> tuple[list[Result], list[Result]]:
    """What Cog made of the inputs, and what came through Halley with this server behind it."""
    schema = _schema(server, name)
    if schema is None:
        return _twice(Result(status="not tried: Halley cannot serve it, so there is no schema"), inputs)
    # without it Cog's server gives no event stream
    schema["paths"]["/predictions"]["post"]["x-cog-streaming"] = True
    _give_schema(cog, schema)
    try:
        with cog:
            alone = [cog.predict(given) for given in inputs]
            if name in STATEFUL:
                return alone, alone
            through = [_predict(server, f"through/{name}", given) for given in inputs]
            cog.ids.extend(prediction_id for _, prediction_id in through if prediction_id)
            return alone, [result for result, _ in through]
    except SetupFailed as failed:
        return _twice(Result(status="setup failed", error=str(failed)), inputs)


def _schema(server: Halley, name: str) -> dict[str, Any] | None:
    status, _, model = server.call("GET", f"/v1/models/parity/{name}")
    if status != 200 or model["latest_version"] is None:
        return None
    return dict(model["latest_version"]["openapi_schema"])


def _give_schema(cog: CogServer, schema: dict[str, Any] | None) -> None:
    (cog.folder / ".cog").mkdir()
    (cog.folder / ".cog" / "openapi_schema.json").write_text(json.dumps(schema))


def _twice(result: Result, inputs: list[dict[str, Any]]) -> tuple[list[Result], list[Result]]:
    return [result for _ in inputs], [result for _ in inputs]
