"""A full disk: refused politely, nothing acknowledged lost, and all goes on when there is room."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from process import Halley

pytestmark = [pytest.mark.fault, pytest.mark.slow]

HERE: Final = Path(__file__).parent
PATIENCE_SECONDS: Final = 120.0
CONFIG: Final = """
[server]
access_log = false
[models."test/nap"]
path = "{models}/nap"
preload = true
[models."test/letter"]
path = "{models}/letter"
preload = true
"""
BOUNDARY: Final = "a-boundary-of-this-test"
UPLOAD: Final = (
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="content"; filename="note.txt"\r\n'
    "Content-Type: text/plain\r\n\r\nkeep me\r\n"
    f"--{BOUNDARY}--\r\n"
).encode()


class SmallDisk:
    """A server whose disk can be full."""

    def __init__(self, home: Path) -> None:
        self._controls = home / "controls"
        self._controls.mkdir()
        self.halley = Halley(
            home,
            "--no-demo",
            config=CONFIG.format(models=HERE / "models"),
            command=(sys.executable, str(HERE / "build.py")),
            environment={"FAULT_FOLDER": str(self._controls)},
        )

    def fill(self) -> None:
        """From now on the database cannot grow, and the blobs take nothing."""
        (self._controls / "full").touch()
        self.wait_until("the disk is full", (self._controls / "full-now").exists)

    def free(self) -> None:
        """There is room again."""
        (self._controls / "full").unlink()
        assert self.halley.process is not None
        if self.halley.process.poll() is None:
            self.wait_until("there is room", lambda: not (self._controls / "full-now").exists())

    def create(self, model: str = "test/nap", **given: Any) -> tuple[int, dict[str, str], Any]:
        return self.halley.call("POST", f"/v1/models/{model}/predictions", {"input": given})

    def get(self, prediction_id: str) -> Any:
        status, _, body = self.halley.call("GET", f"/v1/predictions/{prediction_id}")
        assert status == 200, body
        return body

    def upload(self) -> tuple[int, dict[str, str], Any]:
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.halley.call("POST", "/v1/files", UPLOAD, headers=kind)

    def is_over(self, prediction_id: str) -> bool:
        return self.get(prediction_id)["status"] not in {"starting", "processing"}

    def wait_until(self, what: str, is_so: Callable[..., bool], *about: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not is_so(*about):
            assert time.monotonic() < end, f"it is never so that {what}:\n{self.halley.log()}"
            time.sleep(0.02)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    small = SmallDisk(tmp_path)
    with small.halley:
        yield small


def test_a_full_disk_refuses_creates_keeps_what_it_acknowledged_and_recovers(disk: SmallDisk) -> None:
    acknowledged = [_made(disk.create(seconds=0.0)) for _ in range(5)]
    # its last word is longer than any room left in the pages that are there
    running = _made(disk.create(seconds=3.0, letters=200_000))
    disk.wait_until("it runs", lambda: disk.get(running)["status"] == "processing")
    disk.fill()

    refusals = 0
    for _ in range(200):  # a page with some room takes a few small ones
        status, headers, body = disk.create(seconds=0.0)
        if status == 503:
            refusals += 1
            _check_refusal(headers, body)
        else:
            acknowledged.append(_made((status, headers, body)))
        if refusals == 5:
            break
    assert refusals == 5, "the disk was never full"

    time.sleep(4.0)  # the nap is over long ago, and its output has no place to go
    for each in [*acknowledged, running]:
        disk.get(each)
    assert disk.get(running)["status"] == "processing"

    disk.free()
    for each in [*acknowledged, running]:
        disk.wait_until("it has ended", disk.is_over, each)
        assert disk.get(each)["status"] == "succeeded"
    assert len(disk.get(running)["output"][-1]) == 200_000
    assert disk.create(seconds=0.0)[0] == 201


def test_a_full_disk_refuses_uploads_and_then_takes_them(disk: SmallDisk) -> None:
    disk.fill()
    status, headers, body = disk.upload()
    assert status == 503, body
    _check_refusal(headers, body)
    assert disk.halley.call("GET", "/v1/files")[2]["results"] == []
    disk.free()
    status, _, body = disk.upload()
    assert status == 201, body
    assert body["size"] == len("keep me")


def test_an_output_file_waits_for_room(disk: SmallDisk) -> None:
    running = _made(disk.create("test/letter", seconds=3.0, text="dear reader"))
    disk.wait_until("it runs", lambda: disk.get(running)["status"] == "processing")
    disk.fill()
    time.sleep(4.0)  # the letter is written long ago
    assert disk.get(running)["status"] == "processing"
    disk.free()
    disk.wait_until("it has ended", disk.is_over, running)
    ended = disk.get(running)
    assert ended["status"] == "succeeded", ended
    assert disk.halley.call("GET", ended["output"])[2] == b"dear reader"


def test_what_was_acknowledged_on_a_full_disk_survives_a_death(disk: SmallDisk) -> None:
    acknowledged = [_made(disk.create(seconds=0.0)) for _ in range(5)]
    disk.fill()
    for _ in range(200):
        answer = disk.create(seconds=0.0)
        if answer[0] == 503:
            break
        acknowledged.append(_made(answer))
    disk.halley.kill()
    disk.free()
    disk.halley.start()
    for each in acknowledged:
        disk.wait_until("it has ended", disk.is_over, each)


def _made(answer: tuple[int, dict[str, str], Any]) -> str:
    status, _, body = answer
    assert status == 201, body
    return str(body["id"])


def _check_refusal(headers: dict[str, str], body: Any) -> None:
    assert headers["content-type"].startswith("application/problem+json")
    assert int(headers["retry-after"]) >= 1
    assert body["status"] == 503
    assert "room" in body["detail"] or "full" in body["detail"]
