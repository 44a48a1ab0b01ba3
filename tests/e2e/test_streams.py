"""Streams through the clients that stream, with the connection cut at every event and the server killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cutting_proxy import CuttingProxy, after_each, one_later_each_time
from process import ADMIN_KEY, Case, Halley

pytestmark = pytest.mark.e2e

TOKENS = 10
CaseAt = Callable[[str], Case]
READERS = {"py1": "read_stream", "js": "read_stream", "eventsource": "listen"}


@pytest.fixture(params=list(READERS))
def reader(request: pytest.FixtureRequest) -> str:
    """Two official clients, and the EventSource that browsers have."""
    return str(request.param)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Halley]:
    """A server that may be killed."""
    with Halley(tmp_path) as server:
        yield server


@pytest.fixture
def case_at(case_of: Callable[[str, str], Case], reader: str) -> CaseAt:
    """The reader's script, against an address."""
    return lambda url: case_of("js" if reader == "eventsource" else reader, url)


def create(server: Halley, url: str, **more: Any) -> Any:
    """A prediction of demo/text, made through the proxy, so that its links lead through it."""
    given = {"prompt": "A function is", "max_tokens": TOKENS, "seed": 3, **more}
    status, _, made = server.call("POST", f"{url}/v1/models/demo/text/predictions", {"input": given})
    assert status == 201, made
    return made


def until(server: Halley, name: str, reached: Callable[[Any], bool]) -> Any:
    """The prediction once it is so; the test's time limit is the bound."""
    while True:
        _, _, row = server.call("GET", f"/v1/predictions/{name}")
        if reached(row):
            return row
        time.sleep(0.02)


def ended(row: Any) -> bool:
    return row["status"] in {"succeeded", "failed", "canceled"}


def joined(row: Any) -> str:
    return "".join(row["output"] or [])


def test_cut_at_every_event_it_is_the_stored_output(halley: Halley, reader: str, case_at: CaseAt) -> None:
    count = TOKENS + 1  # before each output, and before the end
    with CuttingProxy(halley.port, one_later_each_time) as proxy:
        case = case_at(proxy.url)
        streams = case("cut_listeners" if reader == "eventsource" else "cut_streams", count=count, tokens=TOKENS)
        assert proxy.cuts == count
    assert len(streams) == count
    for stream in streams:
        assert stream["text"] == stream["stored"] != ""
        assert len(stream["ids"]) == len(set(stream["ids"])), "nothing was told twice"
        assert stream["how"] == "{}"


def test_cut_after_each_event_it_is_the_stored_output(halley: Halley, reader: str, case_at: CaseAt) -> None:
    tokens = 4 if reader == "eventsource" else TOKENS  # it waits three seconds before it comes back
    with CuttingProxy(halley.port, after_each) as proxy:
        made = create(halley, proxy.url, max_tokens=tokens)
        stream = case_at(proxy.url)(READERS[reader], url=made["urls"]["stream"])
        assert proxy.cuts == tokens
    row = until(halley, made["id"], ended)
    assert (stream["text"], stream["how"]) == (joined(row), "{}")
    assert len(stream["ids"]) >= tokens


class Following:
    """A client that follows in the background, through a proxy that holds its stream at an event."""

    def __init__(self, server: Halley, case_at: CaseAt, case: str, *, hold_at: int, **given: Any) -> None:
        self.proxy = CuttingProxy(server.port, hold_at=hold_at)
        self.server = server
        self._threads = ThreadPoolExecutor(1)
        self._follow = case_at(self.proxy.url)
        self._case = case
        self._given = given
        self._told: Future[Any] | None = None

    def __enter__(self) -> "Following":
        self.proxy.__enter__()
        self.made = create(self.server, self.proxy.url, **self._given)
        return self

    def __exit__(self, *_: object) -> None:
        self.proxy.__exit__(None, None, None)
        self._threads.shutdown()

    def begin(self) -> None:
        self._told = self._threads.submit(self._follow, self._case, url=self.made["urls"]["stream"])

    def kill_and_start(self) -> None:
        """Kill -9 while the stream is held, then start on the same data."""
        assert self.proxy.holding.wait(30)
        self.server.kill()
        self.proxy.release()
        self.server.start()

    def told(self) -> Any:
        assert self._told is not None
        return self._told.result(40)


def test_a_restart_while_an_output_is_read_loses_nothing(own_server: Halley, reader: str, case_at: CaseAt) -> None:
    with Following(own_server, case_at, READERS[reader], hold_at=5) as following:
        before = until(own_server, following.made["id"], ended)
        following.begin()
        following.kill_and_start()
        stream = following.told()
    assert (stream["text"], stream["how"]) == (joined(before), "{}")
    assert until(own_server, following.made["id"], ended)["output"] == before["output"]


def test_a_restart_during_an_output_streams_the_stored_part(own_server: Halley, reader: str, case_at: CaseAt) -> None:
    with Following(own_server, case_at, READERS[reader], hold_at=3, max_tokens=400, delay=0.1) as following:
        following.begin()
        following.kill_and_start()
        row = until(own_server, following.made["id"], ended)
        stream = following.told()
    # output that was published cannot be taken back, so there is no second attempt (docs: durability)
    assert (row["status"], row["termination_reason"]) == ("failed", "worker_lost")
    assert stream["text"] == joined(row) != ""
    assert ("reason" if reader == "eventsource" else "had published output") in stream["how"]


@pytest.mark.parametrize("reader", ["eventsource"], indirect=True)
def test_a_restart_before_the_first_output_is_a_second_attempt(own_server: Halley, case_at: CaseAt) -> None:
    with Following(own_server, case_at, "listen", hold_at=0, max_tokens=2, delay=5.0) as following:
        name = following.made["id"]
        until(own_server, name, lambda row: row["status"] == "processing")
        own_server.kill()
        following.begin()
        own_server.start()
        following.proxy.release()
        row = until(own_server, name, ended)
        stream = following.told()
    assert (stream["text"], stream["how"]) == (joined(row), "{}")
    _, _, page = own_server.call("GET", f"/v1/predictions/{name}/events")
    words = [(event["event"], event["attempt"]) for event in page["results"] if event["event"] != "output"]
    assert ("attempt_lost", 1) in words
    assert ("status", 2) in words


def command(url: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """One `halley` command against a server, as a program runs it."""
    return subprocess.run(
        [sys.executable, "-m", "halley.cli.main", *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "HALLEY_SERVER": url, "HALLEY_TOKEN": ADMIN_KEY},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_line_does_not_notice_cuts(halley: Halley, tmp_path: Path) -> None:
    with CuttingProxy(halley.port, after_each) as proxy:
        given = ("demo/text", "prompt=A function is", "max_tokens=6", "seed=3", "delay=0.02")
        ran = command(proxy.url, tmp_path, "run", *given, "--stream")
        assert proxy.cuts >= 6
        name = ran.stderr.split()[0]
        row = until(halley, name, ended)
        assert (ran.returncode, ran.stdout) == (0, joined(row) + "\n")
        assert "again" not in ran.stderr
        logs = command(proxy.url, tmp_path, "predictions", "logs", "-f", name)
        assert (logs.returncode, logs.stdout) == (0, row["logs"])
        watched = command(proxy.url, tmp_path, "predictions", "watch", name)
        assert (watched.returncode, json.loads(watched.stdout)["output"]) == (0, row["output"])


def test_the_command_line_streams_other_output_item_by_item(halley: Halley, tmp_path: Path) -> None:
    given = ("demo/paint", "prompt=sea", "num_outputs:=3", "width=64", "height=64")
    ran = command(halley.url, tmp_path, "run", *given, "--stream", "--json")
    links = [json.loads(line) for line in ran.stdout.splitlines()]
    row = until(halley, ran.stderr.split()[0], ended)
    assert ran.returncode == 0
    assert [link.rpartition("/")[2] for link in links] == [link.rpartition("/")[2] for link in row["output"]]
    assert len(links) == 3


def test_ctrl_c_cancels_what_streams(halley: Halley, tmp_path: Path) -> None:
    given = ("demo/text", "prompt=A function is", "max_tokens=4000", "delay=0.5", "--stream")
    with subprocess.Popen(
        [sys.executable, "-m", "halley.cli.main", "run", *given],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "HALLEY_SERVER": halley.url, "HALLEY_TOKEN": ADMIN_KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        first = os.read(running.stdout.fileno(), 1000)
        time.sleep(0.1)  # Python writes a piece twice that is interrupted while it is flushed
        running.send_signal(signal.SIGINT)
        rest, said = running.communicate(timeout=120)
    row = until(halley, said.split()[0].decode(), ended)
    assert (running.returncode, row["status"]) == (5, "canceled")
    assert (first + rest).decode() == joined(row) + "\n"
    assert b"Canceling" in said


def test_progress_bars_are_events(halley: Halley) -> None:
    _, _, made = halley.call("POST", "/v1/models/demo/sleep/predictions", {"input": {"seconds": 1}})
    until(halley, made["id"], ended)
    _, _, page = halley.call("GET", f"/v1/predictions/{made['id']}/events")
    steps = [event["data"] for event in page["results"] if event["event"] == "progress"]
    assert [step["current"] for step in steps] == sorted({step["current"] for step in steps})
    assert steps[-1] == {"fraction": 1.0, "current": 20, "total": 20}
    assert 2 <= len(steps) < 20
