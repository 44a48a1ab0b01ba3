"""The whole authoring interface, line by line: each has predictors of our own, and each runs through the real server.

`table.toml` maps lines to predictors. Beside each predictor stands, in JSON, what it gets and must give: a list of
cases that run in order. Left out means: no input, status succeeded, output null, no error, no logs, no metrics.
"""

import json
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import pytest

from interface.serving import HERE, MODELS, Case, Served, predictors
from needs import require

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the first test starts every model

ENOUGH: Final = 80
ENOUGH_SCHEMAS: Final = 40
COG: Final = HERE.parents[1] / ".clients" / "cog" / "bin" / "python"
ENOUGH_COMPARED: Final = 50
DIFFERENT: Final = {
    "in_any value": "Cog says object and means any JSON value; we leave the type out, so that any value passes",
    "in_list any_of_them": "the same, inside a list",
    "in_dict counts": "Cog forgets what the values are; we check them",
    "in_files_typed_dict spare": "the same, and we must know that they hold files",
    "out_dict": "the same for an output",
    "out_typed_dict": "Cog's inspector forgets the members; its build, which makes the schema, names them, as we do",
    "out_typed_dict_nested": "the same",
    "out_union": "Cog says object and sends what comes; we list the types",
    "input_choices_int size": "the values stand in a component, as in the documents that Cog publishes",
    "input_choices_str scheduler": "the same for text",
}
TYPE_WORDS: Final = {"type", "format", "items", "anyOf", "writeOnly", "x-cog-secret", "additionalProperties"}
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
        assert answer["http"] == 503
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


def test_types_are_what_cog_itself_says() -> None:
    """Cog's inspector makes no schema, but it knows the types: ours are the same but for a list of exceptions."""
    require(COG.exists(), "Cog's own package: scripts/install cog")
    single = [name for name in SCHEMAS if (MODELS / f"{name}.py").exists()]
    command = [str(COG), str(HERE / "sdk_types.py"), *single]
    done = subprocess.run(command, cwd=MODELS, capture_output=True, text=True, timeout=120, check=True)
    accepted = {name: types for name, types in json.loads(done.stdout).items() if types is not None}
    assert len(accepted) >= ENOUGH_COMPARED
    different = set()
    for name, types in accepted.items():
        ours = json.loads((HERE / "schemas" / f"{name}.json").read_text())
        if types["output"] != ours["Output"]:
            different.add(name)
        for key, theirs in types["inputs"].items():
            shape = ours["Input"]["properties"][key]
            if theirs != {word: value for word, value in shape.items() if word in TYPE_WORDS}:
                different.add(f"{name} {key}")
    assert different == set(DIFFERENT)
