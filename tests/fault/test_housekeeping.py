"""What cannot be tidied up ends nothing: it is logged, shown, tried again, and keeps nothing else."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from e2e.process import Halley

pytestmark = pytest.mark.fault

LIFE_SECONDS: Final = 2
CONFIG: Final = f"""
[limits]
file_life_seconds = {LIFE_SECONDS}
[retention]
api = "10s"
"""


def upload(server: Halley, content: bytes) -> str:
    """Store it as a file; gives the name of its bytes."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="content"; filename="a.bin"\r\n\r\n' + content + b"\r\n--x--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    status, _, made = server.call("POST", "/v1/files", body, headers=headers)
    assert status == 201, made
    return hashlib.sha256(content).hexdigest()


def spoil(path: Path) -> None:
    """Put something into the place of a file that no `unlink` deletes, whoever calls it."""
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "inside").touch()


def until(is_so: Callable[[], Any], server: Halley) -> None:
    end = time.monotonic() + 120
    while not is_so():
        assert server.process is not None
        assert server.process.poll() is None, f"the server has ended:\n{server.log()}"
        assert time.monotonic() < end, server.log()
        time.sleep(0.1)


def tidying(server: Halley) -> dict[str, str]:
    """What could not be tidied up."""
    status, _, body = server.call("GET", "/readyz?verbose", key=None)
    assert status == 200, body
    assert set(body["checks"].values()) == {"ok"}
    told: dict[str, str] = body["housekeeping"]
    return told


def test_what_cannot_be_deleted_ends_nothing_and_shows(tmp_path: Path) -> None:
    blobs = tmp_path / "data" / "blobs"
    with Halley(tmp_path, config=CONFIG) as server:
        odd, good = upload(server, b"odd"), upload(server, b"good")
        spoil(blobs / odd[:2] / odd)
        until(lambda: not (blobs / good[:2] / good).exists(), server)
        until(lambda: "deleting stored files" in tidying(server), server)
        assert "/" not in tidying(server)["deleting stored files"], "paths are for the log alone"
        assert odd in server.log()
        server.kill()
        # what a crash may leave, or somebody may put there, in all places that a start sweeps
        for place in (blobs / "tmp", tmp_path / "data" / "runs", tmp_path / "data" / "scratch"):
            place.mkdir(exist_ok=True)
            spoil(place / "odd")
        (blobs / "zz").touch()
        server.start()
        later = upload(server, b"later")
        until(lambda: not (blobs / later[:2] / later).exists(), server)
        assert os.listdir(blobs / "tmp") == []
        status, _, made = server.call(
            "POST", "/v1/models/demo/noop/predictions", {"input": {"prompt": "x"}}, headers={"Prefer": "wait=50"}
        )
        assert (status, made["status"]) == (201, "succeeded")
        until(lambda: "deleting stored files" in tidying(server), server)
