"""Many models on one machine, as whoever runs the server sees them: `halley ps`, replicas, reload, and no orphans."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.process import Halley

SYNC = "import os\ndef run(text: str) -> str:\n    return f'{text} 1'\n"
SLOW = (
    "import pathlib, time\n"
    "def run(text: str) -> str:\n"
    "    (pathlib.Path.home() / 'running').touch()\n"
    "    while not (pathlib.Path.home() / 'go').exists():\n"
    "        time.sleep(0.01)\n"
    "    return f'{text} 1'\n"
)
DAEMON = (
    "import subprocess, sys\n"
    "def run(text: str) -> str:\n"
    "    away = 'import os, time; print(os.getpid(), flush=True); time.sleep(1000)'\n"
    "    start = f'subprocess.Popen([sys.executable, \"-c\", {away!r}], start_new_session=True)'\n"
    "    code = 'import subprocess, sys; ' + start\n"
    "    child = subprocess.Popen([sys.executable, '-c', code], stdout=-1)\n"
    "    pid = child.stdout.readline().decode().strip()\n"
    "    child.wait()\n"
    "    return pid\n"
)
CONFIG = """
[memory]
budget_bytes = "2GB"
[models."a/twins"]
path = "twins"
replicas = 2
preload = true
[models."a/slow"]
path = "slow"
[models."a/daemon"]
path = "daemon"
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Halley]:
    for name, code in {"twins": SYNC, "slow": SLOW, "daemon": DAEMON}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.py").write_text(code)
    with Halley(tmp_path, "--no-demo", "--reload", config=CONFIG) as running:
        yield running


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
    return found


def replicas(server: Halley, model: str) -> list[dict[str, Any]]:
    status, _, page = server.call("GET", "/v1/replicas")
    assert status == 200
    return [row for row in page["results"] if row["model"] == model]


def predict(server: Halley, model: str, *, wait: bool = True) -> dict[str, Any]:
    headers = {"Prefer": "wait"} if wait else {}
    _, _, made = server.call("POST", f"/v1/models/{model}/predictions", {"input": {"text": "x"}}, headers=headers)
    return dict(made)


def ps(server: Halley, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "halley.cli.main", "ps", "--server", server.url, "--token", server.key, *words],
        env={"PATH": os.environ["PATH"], "HOME": str(server.home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_ps_reload_and_the_end_of_everything(server: Halley) -> None:
    until(lambda: [row["state"] for row in replicas(server, "a/twins")] == ["ready", "ready"])
    rows = json.loads(ps(server, "--json"))
    first = next(row for row in rows if row["model"] == "a/twins")
    assert first["memory_bytes"] > 1_000_000
    assert (first["slots"], first["busy_slots"], first["pinned"]) == (1, 0, False)
    table = ps(server)
    assert "a/slow" in table
    assert "unloaded" in table
    reader = server.account("somebody")
    assert server.call("GET", "/v1/replicas", key=reader)[0] == 403

    # a file changes while a prediction runs: it ends where it began, the next ones run the new code
    running = predict(server, "a/slow", wait=False)
    until((server.home / "running").exists)
    (old,) = replicas(server, "a/slow")
    (server.home / "slow" / "run.py").write_text(SYNC.replace("1", "2"))
    until(lambda: server.call("GET", "/v1/models/a/slow")[2]["latest_version"]["id"] != old["version"])
    assert predict(server, "a/slow")["output"] == "x 2"
    assert alive(old["pid"])
    (server.home / "go").touch()
    path = f"/v1/predictions/{running['id']}"
    done = until(lambda: (row := server.call("GET", path)[2])["status"] == "succeeded" and row)
    assert done["output"] == "x 1"
    until(lambda: [row["version"] != old["version"] for row in replicas(server, "a/slow")] == [True])
    until(lambda: not alive(old["pid"]))

    # nothing outlives the server, not even what became a daemon
    daemon = int(predict(server, "a/daemon")["output"])
    pids = [daemon, *(row["pid"] for row in server.call("GET", "/v1/replicas")[2]["results"] if row["pid"])]
    assert len(pids) == 5
    assert all(map(alive, pids))
    server.kill()
    until(lambda: not any(map(alive, pids)))
