"""The floor does what the server's lifecycle does: the same bytes on the wire, and rows of the same size on disk."""

import json
import socket
import sqlite3
import struct
import subprocess
import urllib.error
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from halley_server import AUTH, PROMPT, ask, serve_floor, until
from load import Request, load
from process import free_port

# A lifecycle of demo/noop as the server answered it, on a port of five digits.
ANSWER = {
    "id": "01m8hmde1sqy39btxw196xdra9",
    "model": "demo/noop",
    "version": "b609845a991e7348f97cd988b936dbb405a9260eb53d0121ff0760f8edf5d8fc",
    "input": PROMPT["input"],
    "logs": "",
    "output": PROMPT["input"]["prompt"],
    "data_removed": False,
    "error": None,
    "source": "api",
    "status": "succeeded",
    "created_at": "2026-11-28T17:49:26.969673Z",
    "started_at": "2026-11-28T17:49:26.970363Z",
    "completed_at": "2026-11-28T17:49:26.970772Z",
    "metrics": {"predict_time": 0.000021, "total_time": 0.001099},
    "urls": {
        "get": "http://127.0.0.1:51439/v1/predictions/01m8hmde1sqy39btxw196xdra9",
        "cancel": "http://127.0.0.1:51439/v1/predictions/01m8hmde1sqy39btxw196xdra9/cancel",
        "web": "http://127.0.0.1:51439/p/01m8hmde1sqy39btxw196xdra9?t=VrcdLAa60HmgVbnggXekjQ",
        "stream": "http://127.0.0.1:51439/v1/streams/01m8hmde1sqy39btxw196xdra9-h2sF9fN0zS16a4eSWyoX7w",
    },
}
PREDICTION_BYTES, EVENTS_BYTES = 456, 250  # what it left in one row and in two, numbers as eight bytes


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    home = tmp_path_factory.mktemp("floor")
    port = free_port()
    with subprocess.Popen([str(part) for part in serve_floor(port, home)]) as process:
        url = f"http://127.0.0.1:{port}/v1/models/demo/noop/predictions"
        until(lambda: ask(url, PROMPT, ("Prefer: wait",)), pause_seconds=0.02)
        yield url, home / "floor.db"
        process.terminate()


def test_its_answer_has_the_members_and_the_size_of_the_servers(floor: tuple[str, Path]) -> None:
    url, _ = floor
    made = ask(url, PROMPT, ("Prefer: wait",))
    assert list(made) == list(ANSWER)
    assert made["output"] == ANSWER["output"]
    assert abs(len(json.dumps(made)) - len(json.dumps(ANSWER))) < 20
    assert ask(f"{url.partition('/models')[0]}/predictions/{made['id']}") == made


def test_both_commits_hold_what_the_server_stores(floor: tuple[str, Path]) -> None:
    url, database = floor
    made = ask(url, PROMPT, ("Prefer: wait",))
    with closing(sqlite3.connect(database)) as connection:
        (row,) = connection.execute("SELECT * FROM predictions WHERE id = ?", (made["id"],)).fetchall()
        events = connection.execute("SELECT * FROM events WHERE prediction_id = ?", (made["id"],)).fetchall()
    assert "succeeded" in row
    assert [event[4] for event in events] == ["created", "returned"]
    assert _bytes(row) == pytest.approx(PREDICTION_BYTES, rel=0.1)
    assert sum(map(_bytes, events)) == pytest.approx(EVENTS_BYTES, rel=0.1)


def test_without_prefer_the_answer_leaves_after_the_first_commit(floor: tuple[str, Path]) -> None:
    url, _ = floor
    assert ask(url, PROMPT)["status"] == "starting"


def test_it_checks_the_key_and_serves_many_at_once(floor: tuple[str, Path]) -> None:
    url, _ = floor
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(url, PROMPT, ("Authorization: Bearer other",))
    counted = load(Request(url, (AUTH, "Prefer: wait"), json.dumps(PROMPT).encode()), connections=32, seconds=0.6)
    assert counted.good > 32
    assert counted.failures() == ""


def _bytes(row: tuple[object, ...]) -> int:
    return sum(8 if isinstance(value, int) else len(value) for value in row if value is not None)  # type: ignore[arg-type]


def test_clients_that_leave_before_their_answer_hold_up_nobody(floor: tuple[str, Path]) -> None:
    url, database = floor
    port = int(url.split(":")[2].partition("/")[0])
    sent = Request(url, (AUTH,), json.dumps(PROMPT).encode()).encoded()
    for _ in range(100):
        with closing(socket.create_connection(("127.0.0.1", port))) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset
            client.sendall(sent)
    assert ask(url, PROMPT, ("Prefer: wait",))["status"] == "succeeded"

    def all_over() -> None:
        with closing(sqlite3.connect(database)) as connection:
            (left,) = connection.execute("SELECT count(*) FROM predictions WHERE status = 'starting'").fetchone()
        if left:
            raise ConnectionError(f"{left} never ran")

    until(all_over, seconds=10)
