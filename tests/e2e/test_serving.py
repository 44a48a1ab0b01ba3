"""The server process itself: what it holds, where it looks, what it says when it cannot start."""

import sys
from pathlib import Path

import pytest
from process import Halley

pytestmark = pytest.mark.e2e


def test_the_server_holds_no_command_line_library(halley: Halley) -> None:
    assert halley.process is not None
    status, _, _ = halley.call("POST", "/v1/models/demo/noop/predictions", {"input": {}}, headers={"Prefer": "wait"})
    assert status == 201
    mapped = Path(f"/proc/{halley.process.pid}/maps").read_text()
    assert "msgspec" in mapped  # or we look in the wrong place
    assert "pydantic_core" not in mapped


def test_a_module_beside_the_user_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('somebody else')\n")
    (tmp_path / "json.py").write_text("raise SystemExit('somebody else')\n")
    command = (str(Path(sys.executable).with_name("halley")),)
    with Halley(tmp_path, command=command) as server:
        assert server.call("GET", "/v1/account")[0] == 200


def test_a_second_server_on_the_same_data_learns_who_holds_it(halley: Halley) -> None:
    second = Halley(halley.home)
    second.output = halley.home / "second.log"
    second.start(wait=False)
    assert second.process is not None
    assert halley.process is not None
    assert second.process.wait(120) == 2
    assert f"process {halley.process.pid}, at {halley.url}" in second.log()


def test_a_path_without_a_model_ends_the_start(tmp_path: Path) -> None:
    server = Halley(tmp_path, "nowhere").start(wait=False)
    assert server.process is not None
    assert server.process.wait(120) == 2
    assert "There is no model at nowhere." in server.log()
