"""The server is killed in the middle of bulk actions: they continue, and nothing is done twice."""

import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from e2e.process import Halley

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

COUNT: Final = 160  # eight batches
PATIENCE_SECONDS: Final = 120.0


def create(server: Halley, model: str, given: dict[str, Any]) -> None:
    for _ in range(COUNT):
        status, _, made = server.call("POST", f"/v1/models/demo/{model}/predictions", {"input": given})
        assert status == 201, made


def act(server: Halley, action: str, model: str) -> str:
    wanted = {"action": action, "filter": {"model": f"demo/{model}"}}
    status, _, made = server.call("POST", "/v1/bulk-actions", wanted)
    assert (status, made["total"]) == (201, COUNT), made
    return str(made["id"])


def look(server: Halley, action_id: str) -> Any:
    status, _, now = server.call("GET", f"/v1/bulk-actions/{action_id}")
    assert status == 200
    return now


def killed_in_the_middle(server: Halley, action_id: str) -> None:
    """Kill the server when something is done, and start it again."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (now := look(server, action_id))["done"] == 0:
        assert time.monotonic() < end, now
    server.kill()
    server.start()


def finished(server: Halley, action_id: str) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while (now := look(server, action_id))["status"] == "running":
        assert time.monotonic() < end, now
        time.sleep(0.05)
    return now


def rows(home: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(home / "data" / "halley.db")) as database:
        return database.execute(statement).fetchall()


def run(server: Halley, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(server.home),
        "HALLEY_SERVER": server.url,
        "HALLEY_TOKEN": server.key,
    }
    command = [sys.executable, "-m", "halley.cli.main", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)


def test_each_prediction_is_run_again_once_and_counted_once(tmp_path: Path) -> None:
    with Halley(tmp_path) as server:
        create(server, "noop", {})
        end = time.monotonic() + PATIENCE_SECONDS
        while server.call("GET", "/v1/predictions?status=starting,processing&limit=1")[2]["results"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        again = act(server, "rerun", "noop")
        killed_in_the_middle(server, again)
        ended = finished(server, again)
        assert (ended["status"], ended["done"], ended["remaining"]) == ("finished", COUNT, 0), ended
        links = Counter(of for (of,) in rows(tmp_path, "SELECT of_id FROM reruns"))
        assert (len(links), set(links.values())) == (COUNT, {1})

        said = run(server, "predictions", "bulk", again).stderr
        assert f"{COUNT} done." in said
        (old, new), *_ = rows(tmp_path, "SELECT of_id, prediction_id FROM reruns")
        made = run(server, "predictions", "rerun", new).stdout.strip()
        assert rows(tmp_path, f"SELECT of_id FROM reruns WHERE prediction_id = '{made}'") == [(new,)]
        assert old != new

        create(server, "sleep", {"seconds": 600})
        cancel = act(server, "cancel", "sleep")
        killed_in_the_middle(server, cancel)
        ended = finished(server, cancel)
        assert (ended["status"], ended["done"], ended["skipped"]) == ("finished", COUNT, 0), ended
        statuses = rows(tmp_path, "SELECT DISTINCT status FROM predictions WHERE model = 'demo/sleep'")
        assert statuses == [("canceled",)]
