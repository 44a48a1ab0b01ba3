"""The whole authoring interface, line by line: each has predictors of our own, and each runs through the real server.

`table.toml` maps lines to predictors. Beside each predictor stands, in JSON, what it gets and must give: a list of
cases that run in order. Left out means: no input, status succeeded, output null, no error, no logs, no metrics.
"""

import json
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import pytest

from interface.serving import HERE, MODELS, Case, Served, predictors

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]  # the first test starts every model

ENOUGH: Final = 80
ENOUGH_SCHEMAS: Final = 40
PREDICTORS: Final = predictors()
SCHEMAS: Final = sorted(file.stem for file in (HERE / "schemas").glob("*.json"))


def table() -> Iterator[tuple[str, list[str]]]:
    """Each line of the interface with its predictors."""
    for section, lines in tomllib.loads((HERE / "table.toml").read_text()).items():
        for line, names in lines.items():
            yield f"{section}: {line}", names


def test_every_line_has_a_predictor_and_every_predictor_a_line() -> None:
    lines = dict(table())
    assert {line for line, names in lines.items() if not names} == set()
    named = {name for names in lines.values() for name in names}
    there = {entry.stem for entry in MODELS.iterdir() if entry.suffix == ".py" or (entry / "cog.yaml").is_file()}
    assert (named - there, there - named) == (set(), set())
    assert set(PREDICTORS) == there
    assert len(there) >= ENOUGH


def _numbered() -> Iterator[Any]:
    for name, cases in PREDICTORS.items():
        for number, case in enumerate(cases):
            yield pytest.param(name, number, case, id=f"{name}-{number}")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number", "case"), list(_numbered()))
def test_predictor(served: Served, name: str, number: int, case: Case) -> None:
    answer = served.answer(name, number)
    if "not_served" in case:
        assert answer["http"] == 404
        assert case["not_served"] in served.fault(name)
    elif "invalid" in case:
        said = {fault["field"]: fault["description"] for fault in answer["invalid_fields"]}
        assert said == case["invalid"]
    else:
        assert answer["status"] == case.get("status", "succeeded"), answer
        assert answer["output"] == case.get("output")
        assert type(answer["output"]) is type(case.get("output"))  # 1 is no True
        assert answer["metrics"] == case.get("metrics", {})
        _check_error(answer["error"], case)
        _check_logs(answer["logs"], case)


def _check_error(error: str | None, case: Case) -> None:
    if "error_has" in case:
        assert [part for part in case["error_has"] if part not in (error or "")] == []
    else:
        assert error == case.get("error")


def _check_logs(logs: str, case: Case) -> None:
    if case.get("logs_have") is not None:
        assert [part for part in case["logs_have"] if part not in logs] == []
    else:
        assert logs == case.get("logs", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEMAS)
def test_schema(served: Served, name: str) -> None:
    assert served.schema(name) == json.loads((HERE / "schemas" / f"{name}.json").read_text())


def test_enough_schemas_are_written_by_hand() -> None:
    assert len(SCHEMAS) >= ENOUGH_SCHEMAS
    assert set(SCHEMAS) <= set(PREDICTORS)
