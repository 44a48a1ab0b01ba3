"""Durability seen from outside: what the server asks of the kernel between a create and its answer."""

import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from process import ADMIN_KEY, Halley

from fault.mix_clients import RawCreate, create_bytes
from needs import require

pytestmark = [pytest.mark.fault, pytest.mark.slow]

HERE: Final = Path(__file__).parent
CONNECTIONS: Final = 64
CREATES_EACH: Final = 10
CONFIG: Final = """
[server]
access_log = false
[runs]  # no heartbeat falls into the trace
lease_seconds = 1800
heartbeat_seconds = 600
[models."test/nap"]
path = "{path}"
preload = true
concurrency = 1
"""

# A call that another thread interrupts is written as two lines; it is done with the second.
_RECEIVED: Final = re.compile(r'"POST /v1/models/test/nap/predictions')
_SENT: Final = re.compile(r'"HTTP/1\.1 201')
_SYNC_BEGUN: Final = re.compile(r"^(\d+) .*?f(?:data)?sync\(\d+<[^>]*/halley\.db-wal>")
_SYNC_DONE: Final = re.compile(r"^(\d+) .*?f(?:data)?sync(?:\(\d+<[^>]*/halley\.db-wal>\)| resumed>\)) += 0")


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Halley]:
    """A server under strace, whose only slot is taken for longer than the test: creates are all that is written."""
    require(shutil.which("strace"), "strace, which shows the system calls")
    strace = ("strace", "-D", "-f", "--seccomp-bpf", "-yy", "-s", "48", "-o", str(tmp_path / "trace"))
    calls = "trace=fsync,fdatasync,read,recvfrom,recvmsg,write,writev,sendto,sendmsg"
    command = (*strace, "-e", calls, sys.executable, "-m", "halley.cli.main")
    config = CONFIG.format(path=HERE / "models" / "nap")
    with Halley(tmp_path, "--no-demo", config=config, command=command) as server:
        _, _, held = server.call("POST", "/v1/models/test/nap/predictions", {"input": {"seconds": 600}})
        yield server
        server.call("POST", f"/v1/predictions/{held['id']}/cancel")


def test_a_sync_of_the_log_lies_between_a_create_and_its_201(traced: Halley) -> None:
    begin = len(_lines(traced))
    for _ in range(20):
        _create(traced, 1)
    lines = _lines_with_answers(traced, begin, 20)
    received = [number for number, line in enumerate(lines) if _RECEIVED.search(line)]
    sent = [number for number, line in enumerate(lines) if _SENT.search(line)]
    assert len(received) == len(sent)
    for came, went in zip(received, sent, strict=True):
        assert came < went
        assert _has_whole_sync(lines[came + 1 : went]), "\n".join(lines[came : went + 1])


def test_many_creates_share_a_sync(traced: Halley) -> None:
    begin = len(_lines(traced))
    threads = [threading.Thread(target=_create, args=(traced, CREATES_EACH)) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    lines = _lines_with_answers(traced, begin, CONNECTIONS * CREATES_EACH)
    creates = sum(1 for line in lines if _SENT.search(line))
    syncs = sum(1 for line in lines if _SYNC_DONE.search(line))
    print(f"{creates} creates at {CONNECTIONS} connections, {syncs} syncs")
    assert 0 < syncs < creates / 4


def _create(server: Halley, count: int) -> None:
    """Creates one after the other, each on a fresh connection."""
    for _ in range(count):
        raw = RawCreate(server.port)
        raw.send(create_bytes(ADMIN_KEY, "test/nap", {"seconds": 0.0}))
        answer = raw.answer()
        assert answer is not None
        assert answer[0] == 201


def _lines(server: Halley) -> list[str]:
    return (server.home / "trace").read_text(errors="replace").splitlines()


def _lines_with_answers(server: Halley, begin: int, answers: int) -> list[str]:
    """What was traced since; an answer may arrive a moment before its line is written."""
    lines: list[str] = []
    for _ in range(500):
        lines = _lines(server)[begin:]
        if sum(1 for line in lines if _SENT.search(line)) >= answers:
            return lines
        time.sleep(0.01)
    raise AssertionError(f"the trace does not show {answers} answers:\n" + "\n".join(lines[-100:]))


def _has_whole_sync(lines: list[str]) -> bool:
    """True if a thread began a sync of the log here and it succeeded here."""
    begun: set[str] = set()
    for line in lines:
        if found := _SYNC_BEGUN.search(line):
            begun.add(found[1])
        if (found := _SYNC_DONE.search(line)) and found[1] in begun:
            return True
    return False
