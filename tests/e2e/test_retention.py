"""Data that goes after seconds, in the real server, as the official clients and the command line see it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from process import Halley

from e2e.conftest import make_case

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    """A server that keeps data for seconds."""
    with Halley(tmp_path_factory.mktemp("halley"), environment={"HALLEY_RETENTION": "10s"}) as server:
        yield server


def stored_files(halley: Halley) -> list[Path]:
    return list((halley.home / "data" / "blobs").glob("??/*"))


def until_nothing_is_stored(halley: Halley) -> None:
    end = time.monotonic() + 120
    while stored_files(halley):
        assert time.monotonic() < end, "the files of removed predictions stay"
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["py1", "py2", "js"])
def test_official_clients_see_data_go(forgetful: Halley, tmp_path: Path, name: str) -> None:
    seen = make_case(name, forgetful.url, forgetful.key, tmp_path)("forgotten")
    assert seen["before"]["status"] == 200
    assert seen["before"]["input"]["prompt"] == "sea"
    removed = None if name == "py1" else True
    assert seen["after"] == {"output": None, "input": {}, "logs": "", "data_removed": removed}
    assert (seen["state"], seen["link"]) == ("succeeded", 404)
    until_nothing_is_stored(forgetful)


def test_the_stream_and_the_page_go_with_the_data(forgetful: Halley) -> None:
    made = forgetful.call("POST", "/v1/models/demo/text/predictions", {"input": {"prompt": "A function is"}})[2]
    done = forgetful.call("GET", f"/v1/predictions/{made['id']}", headers={"Prefer": "wait=30"})[2]
    assert done["status"] == "succeeded"
    assert forgetful.call("GET", made["urls"]["stream"], key=None)[0] == 200
    end = time.monotonic() + 120
    while not forgetful.call("GET", f"/v1/predictions/{made['id']}")[2]["data_removed"]:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert forgetful.call("GET", made["urls"]["stream"], key=None)[0] == 404
    assert b"were removed" in forgetful.call("GET", made["urls"]["web"], key=None)[2]


def halley(server: Halley, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(server.home),
        "HALLEY_SERVER": server.url,
        "HALLEY_TOKEN": server.key,
    }
    command = [sys.executable, "-m", "halley.cli.main", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_command_line_removes_data_and_sets_periods(tmp_path: Path) -> None:
    with Halley(tmp_path) as server:
        made = server.call("POST", "/v1/models/demo/sleep/predictions", {"input": {"seconds": 60}})[2]
        refused = halley(server, "predictions", "delete-data", made["id"], "--yes")
        assert refused.returncode != 0
        assert "Cancel it first" in refused.stderr
        server.call("POST", f"/v1/predictions/{made['id']}/cancel")
        asked = halley(server, "predictions", "delete-data", made["id"])
        assert (asked.returncode, "Pass --yes" in asked.stderr) == (2, True)
        for _ in range(2):
            done = halley(server, "predictions", "delete-data", made["id"], "--yes")
            assert (done.returncode, done.stdout) == (0, "")
        shown = server.call("GET", f"/v1/predictions/{made['id']}")[2]
        assert (shown["status"], shown["input"], shown["data_removed"]) == ("canceled", {}, True)
        assert halley(server, "predictions", "delete-data", "0" * 26, "--yes").returncode != 0
        again = halley(server, "predictions", "rerun", made["id"])
        assert (again.returncode, "its input was removed" in again.stderr) == (2, True)
        many = halley(server, "predictions", "delete-data", "--filter", "model=demo/sleep", "--yes")
        assert (many.returncode, "1 skipped: its data was removed before" in many.stderr) == (0, True)

        token = halley(server, "keys", "create", "--name", "clinic", "--retention", "1s").stdout.strip()
        listed = halley(server, "keys", "list").stdout
        assert "retention=1s" in listed
        (key_id,) = [line.split()[0] for line in listed.splitlines() if "clinic" in line]
        made = server.call("POST", "/v1/models/demo/noop/predictions", {"input": {}}, key=token)[2]
        end = time.monotonic() + 120
        while not server.call("GET", f"/v1/predictions/{made['id']}")[2]["data_removed"]:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert "retention=" not in halley(server, "keys", "set", key_id, "--retention", "default").stderr
        wrong = halley(server, "keys", "set", key_id, "--retention", "soon")
        assert wrong.returncode != 0
        assert "a period as text, such as 1h" in wrong.stderr
