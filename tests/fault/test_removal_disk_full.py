"""A disk that is really full: what is due makes room by itself, nothing else goes, and work goes on unattended."""

import hashlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from e2e.process import Halley
from needs import require

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(600)]

DISK: Final = "24m"
MIB: Final = 2**20
PERIODS_SECONDS: Final = (20, 60, 180)
"""How long data is kept: the disk must be full before the first of it is due. A busy machine needs a longer one."""

# A file system of our own in a namespace of our own: no right of an administrator is needed, and it goes with us.
MOUNTED: Final = f'mount -t tmpfs -o size={DISK} none "$0" && exec "$@"'
PRINT: Final = """
import pathlib
import tempfile

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, letter: str) -> Path:
        out = pathlib.Path(tempfile.mkdtemp()) / "out.txt"
        out.write_text(letter * 2**20)
        return Path(out)
"""


@contextmanager
def small_server(home: Path, period: int, limits: str = "") -> Iterator[Halley]:
    """A server whose data folder is a disk of its own."""
    home.mkdir()
    can = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(home)], check=False).returncode == 0
    require(can, "this machine lets nobody mount a file system in a namespace of his own")
    (home / "data").mkdir()
    (home / "print").mkdir()
    (home / "print" / "predict.py").write_text(PRINT)
    command = ("unshare", "-rm", "sh", "-c", MOUNTED, str(home / "data"), sys.executable, "-m", "halley.cli.main")
    config = f'{limits}\n[models."acme/print"]\npath = "{home}/print"\nretention = "{period}s"\n'
    with Halley(home, "--no-demo", command=command, config=config) as halley:
        yield halley


def upload(server: Halley, size: int, first: int) -> tuple[int, Any]:
    """Upload bytes that are like no others."""
    content = first.to_bytes(8, "big") * (size // 8)
    head = b'--b\r\nContent-Disposition: form-data; name="content"; filename="x"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    status, _, made = server.call("POST", "/v1/files", head + content + b"\r\n--b--\r\n", headers=kind)
    assert status != 503 or "no room" in made["detail"]
    return status, made


def fill_up(server: Halley) -> dict[str, int]:
    """Upload until nothing more is taken; gives the sizes of what was."""
    taken: dict[str, int] = {}
    for size in (MIB, 64 * 1024, 4096, 8):
        for _ in range(400):
            status, made = upload(server, size, len(taken) + 1)
            if status == 503:
                break
            assert status == 201, made
            taken[made["id"]] = size
        else:
            pytest.fail("the disk is never full")
    return taken


def removed_by(server: Halley) -> int:
    """How many predictions it says it has removed the data of."""
    return sum(int(number) for number in re.findall(r"removed the data of (\d+) predictions", server.log()))


def stored(server: Halley) -> list[int]:
    """The sizes of all stored contents, which are whole: seen with the eyes of the server."""
    assert server.process is not None
    folder = Path(f"/proc/{server.process.pid}/root") / (server.home / "data" / "blobs").relative_to("/")
    contents = {path.name: path.read_bytes() for path in folder.glob("??/*")}
    assert all(hashlib.sha256(content).hexdigest() in name for name, content in contents.items())
    return [len(content) for content in contents.values()]


def test_due_data_is_deleted_on_a_full_disk(tmp_path: Path) -> None:
    for period in PERIODS_SECONDS:
        with small_server(tmp_path / str(period), period) as server:
            began = time.monotonic()
            made = predictions(server)
            taken = fill_up(server)
            if time.monotonic() - began < period:
                check_due_data_is_deleted(server, made, taken, period)
                return
    pytest.fail("this machine is too slow")


def predictions(server: Halley) -> list[Any]:
    """A few with an output of a megabyte each."""
    made: list[Any] = []
    for letter in "abcdef":
        path, waits = "/v1/models/acme/print/predictions", {"Prefer": "wait=50"}
        status, _, one = server.call("POST", path, {"input": {"letter": letter}}, headers=waits)
        assert (status, one["status"]) == (201, "succeeded"), one
        made.append(one)
    return made


def check_due_data_is_deleted(server: Halley, made: list[Any], taken: dict[str, int], period: int) -> None:
    assert taken
    end = time.monotonic() + period + 60
    while (answer := upload(server, 4 * MIB, 0))[0] == 503:
        assert time.monotonic() < end, "there is no room again"
        time.sleep(0.2)
    assert answer[0] == 201
    assert "the disk is full: deleted" in server.log()
    while removed_by(server) < len(made):
        assert time.monotonic() < end, "the rows of what made room stay"
        time.sleep(0.2)
    for file_id, size in taken.items():
        assert server.call("GET", f"/v1/files/{file_id}")[2]["size"] == size
    assert sorted(stored(server)) == sorted([*taken.values(), 4 * MIB])
    while server.call("GET", "/readyz", key=None)[0] != 200:
        assert time.monotonic() < end, "it is not ready again"
        time.sleep(0.2)


def test_expired_uploads_are_deleted_on_a_full_disk(tmp_path: Path) -> None:
    """Nothing else is there that could, and equal contents are stored once for two of them."""
    for period in PERIODS_SECONDS:
        with small_server(tmp_path / str(period), period, f"limits.file_life_seconds = {period}") as server:
            began = time.monotonic()
            for _ in range(2):
                assert upload(server, 4 * MIB, 0)[0] == 201
            taken = fill_up(server)
            if time.monotonic() - began < period:
                check_expired_uploads_are_deleted(server, taken, period)
                return
    pytest.fail("this machine is too slow")


def check_expired_uploads_are_deleted(server: Halley, taken: dict[str, int], period: int) -> None:
    end = time.monotonic() + period + 60
    while (answer := upload(server, 8 * MIB, 0))[0] == 503:
        assert time.monotonic() < end, "there is no room again"
        time.sleep(0.2)
    assert answer[0] == 201
    assert "the disk is full: deleted" in server.log()
    while any(server.call("GET", f"/v1/files/{file_id}")[0] == 200 for file_id in taken):
        assert time.monotonic() < end, "the files can still be seen"
        time.sleep(0.2)
    while stored(server) != [8 * MIB]:
        assert time.monotonic() < end, "contents of files that are gone stay"
        time.sleep(0.2)
