"""tests/fault_rows.toml and tests/service_faults.toml name tests for each fault, and they exist."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = {
    f"{name} {row}": told
    for name in ("fault_rows", "service_faults")
    for row, told in tomllib.loads((ROOT / f"tests/{name}.toml").read_text()).items()
}


def _exists(test: str) -> bool:
    name, _, path = test.partition("::")
    source = (ROOT / name).read_text()
    return all(
        re.search(rf"^\s*(?:(?:async )?def|class) {re.escape(part)}\b", source, re.MULTILINE)
        for part in path.partition("[")[0].split("::")
    )


@pytest.mark.parametrize("row", sorted(ROWS))
def test_the_tests_of_a_row_exist(row: str) -> None:
    assert ROWS[row]["tests"]
    for test in ROWS[row]["tests"]:
        assert _exists(test), test
