"""An input host that accepts and says nothing: a cancel is at once, and the model goes on working for others."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from process import Halley

pytestmark = pytest.mark.e2e

READS = """
from cog import Path

def run(file: Path) -> str:
    return file.read_text()
"""
PREDICTIONS = "/v1/models/local/reads/predictions"


class SilentHost:
    """Takes connections and keeps them."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.connections.append(self._listening.accept()[0])
            except OSError:
                return

    def wait_for(self, count: int) -> None:
        end = time.monotonic() + 120
        while len(self.connections) < count:
            assert time.monotonic() < end, "nobody came for the file"
            time.sleep(0.01)

    def close(self) -> None:
        self._listening.close()
        for connection in self.connections:
            connection.close()


@pytest.fixture
def host() -> Iterator[SilentHost]:
    made = SilentHost()
    yield made
    made.close()


@pytest.fixture
def halley(tmp_path: Path, host: SilentHost) -> Iterator[Halley]:
    (tmp_path / "reads.py").write_text(READS)
    config = (
        f'[egress]\nallow = ["{host.address}"]\n[models."local/reads"]\npath = "{tmp_path}/reads.py"\npreload = true\n'
    )
    with Halley(tmp_path, "--no-demo", config=config) as server:
        yield server


def create(halley: Halley, file: str, *, wait: bool) -> dict[str, object]:
    headers = {"Prefer": "wait=60"} if wait else {}
    status, _, row = halley.call("POST", PREDICTIONS, {"input": {"file": file}}, headers=headers)
    assert status == 201, row
    return dict(row)


def test_a_silent_host_keeps_no_slot_and_a_cancel_of_its_prediction_leaves_nothing(
    halley: Halley, host: SilentHost, tmp_path: Path
) -> None:
    slow = create(halley, f"http://{host.address}/a.txt", wait=False)
    host.wait_for(1)
    done = create(halley, "data:text/plain,hello", wait=True)  # the model has one slot
    assert (done["status"], done["output"]) == ("succeeded", "hello")
    runs = tmp_path / "data" / "runs"
    assert any(str(slow["id"]) in folder.name for folder in runs.iterdir())
    status, _, row = halley.call("POST", f"/v1/predictions/{slow['id']}/cancel")
    assert (status, row["status"]) == (200, "canceled")
    end = time.monotonic() + 8  # the host would keep it for longer
    while any(runs.iterdir()):
        assert time.monotonic() < end, "the lease of the canceled one is still held"
        time.sleep(0.02)
