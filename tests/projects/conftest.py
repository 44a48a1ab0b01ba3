"""One server for all projects that it can serve, each as a copy: some write where they stand."""

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from process import Halley

HERE: Final = Path(__file__).parent
# Their requirements are what models of their year wanted; nothing is installed for this test.
AS_IT_IS: Final = '[environments]\nenv = "current"\n'


@pytest.fixture(scope="session")
def wishes() -> dict[str, dict[str, Any]]:
    """By project: what it is asked and what must come."""
    return tomllib.loads((HERE / "cases.toml").read_text())


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory, wishes: dict[str, dict[str, Any]]) -> Path:
    folder = tmp_path_factory.mktemp("projects")
    for name in wishes:
        shutil.copytree(HERE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def halley(
    projects: Path, wishes: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Halley]:
    models = "".join(
        f'[models."projects/{name}"]\npath = "{projects / name}"\n' for name, wish in wishes.items() if "input" in wish
    )
    with Halley(tmp_path_factory.mktemp("server"), "--no-demo", config=AS_IT_IS + models) as server:
        yield server
