"""A disk that fills in the middle of a file: told, nothing half stays, nothing mentions it, and it works again."""

import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from process import Halley

pytestmark = [pytest.mark.fault, pytest.mark.slow]

HERE: Final = Path(__file__).parent
MIB: Final = 2**20
PATIENCE_SECONDS: Final = 120.0
LETTER: Final = f"""
[server]
access_log = false
[models."test/letter"]
path = "{HERE / "models" / "letter"}"
preload = true
"""
CONTENT: Final = bytes(range(256)) * (6 * MIB // 256)
HEAD: Final = b'--b\r\nContent-Disposition: form-data; name="content"; filename="large.bin"\r\n\r\n'


class Server:
    """One whose disk for bytes has so much room."""

    def __init__(self, home: Path) -> None:
        self._room = home / "controls" / "room"
        self._room.parent.mkdir()
        self._data = home / "data"
        self.halley = Halley(
            home,
            "--no-demo",
            config=LETTER,
            command=(sys.executable, str(HERE / "build.py")),
            environment={"FAULT_FOLDER": str(self._room.parent)},
        )

    def leave(self, room_bytes: int) -> None:
        self._room.write_text(str(room_bytes))

    def free(self) -> None:
        self._room.unlink()

    def is_filled(self) -> bool:
        return self._room.read_text() == "0"

    def upload(self) -> tuple[int, dict[str, str], Any]:
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        return self.halley.call("POST", "/v1/files", HEAD + CONTENT + b"\r\n--b--\r\n", headers=kind)

    def get(self, prediction_id: str) -> Any:
        return self.halley.call("GET", f"/v1/predictions/{prediction_id}")[2]

    def drafts(self) -> list[Path]:
        return list((self._data / "blobs" / "tmp").iterdir())

    def stored(self) -> list[bytes]:
        return [path.read_bytes() for path in (self._data / "blobs").glob("??/*")]

    def mentioned(self) -> int:
        """How many rows mention bytes."""
        with closing(sqlite3.connect(f"file:{self._data / 'halley.db'}?mode=ro", uri=True)) as database:
            tables = ("files", "blobs", "blob_references")
            return sum(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)

    def wait_until(self, what: str, is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < end, f"it is never so that {what}:\n{self.halley.log()}"
            time.sleep(0.02)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    with made.halley:
        yield made


@pytest.mark.parametrize(
    "room_bytes",
    [5 * MIB // 2, len(CONTENT) + 5 * MIB // 2],
    ids=["while it comes in", "while it is put into its place"],
)
def test_an_upload_is_refused_and_leaves_nothing(server: Server, room_bytes: int) -> None:
    server.leave(room_bytes)
    status, headers, body = server.upload()
    assert (status, body["status"]) == (503, 503), body
    assert int(headers["retry-after"]) >= 1
    assert "no room" in body["detail"]
    assert server.is_filled(), "it was refused before the disk was full"
    assert (server.drafts(), server.stored(), server.mentioned()) == ([], [], 0)
    assert server.halley.call("GET", "/v1/files")[2]["results"] == []
    server.free()
    status, _, made = server.upload()
    assert (status, made["size"]) == (201, len(CONTENT))
    assert server.stored() == [CONTENT]
    assert server.drafts() == []


def half_written(server: Server) -> str:
    """A prediction whose output found room for a third of it."""
    server.leave(MIB)
    given = {"input": {"seconds": 0.5, "text": "dear" * (3 * MIB // 4)}}
    status, _, made = server.halley.call("POST", "/v1/models/test/letter/predictions", given)
    assert status == 201, made
    server.wait_until("the disk is full", server.is_filled)
    server.wait_until("what was written is gone", lambda: not server.drafts())
    shown = server.get(made["id"])
    assert (shown["status"], shown["output"]) == ("processing", None)
    assert (server.stored(), server.mentioned()) == ([], 0)
    return str(made["id"])


def check_whole(server: Server, prediction_id: str) -> None:
    server.wait_until("it has ended", lambda: server.get(prediction_id)["status"] not in {"starting", "processing"})
    ended = server.get(prediction_id)
    assert ended["status"] == "succeeded", ended
    assert server.halley.call("GET", ended["output"])[2] == b"dear" * (3 * MIB // 4)
    assert len(server.stored()) == 1
    assert server.drafts() == []


def test_an_output_waits_and_is_then_stored_whole(server: Server) -> None:
    prediction_id = half_written(server)
    time.sleep(2.5)  # it tries again every second
    assert server.get(prediction_id)["status"] == "processing"
    server.free()
    check_whole(server, prediction_id)


def test_a_crash_before_an_output_is_stored_leaves_no_part_of_it(server: Server) -> None:
    prediction_id = half_written(server)
    server.halley.kill()
    server.free()
    server.halley.start()
    check_whole(server, prediction_id)
