"""Durability seen from outside: what the server asks of the kernel between a create and its answer."""

import re
import shutil
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from process import ADMIN_KEY, Halley

from fault.mix_clients import RawCreate, create_bytes
from needs import require

pytestmark = [pytest.mark.fault, pytest.mark.slow]

HERE: Final = Path(__file__).parent
CONNECTIONS: Final = 64
ROUNDS: Final = 10
SYNCS: Final = "trace=fsync,fdatasync"
TRAFFIC: Final = "read,recvfrom,recvmsg,write,writev,sendto,sendmsg"
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


class Traced(Halley):
    """A server under strace, whose only slot is taken for longer than the test: creates are all that is written."""

    def __init__(self, home: Path, calls: str) -> None:
        require(shutil.which("strace"), "strace, which shows the system calls")
        strace = ("strace", "-D", "-f", "--seccomp-bpf", "-yy", "-s", "48", "-o", str(home / "trace"), "-e", calls)
        super().__init__(
            home,
            "--no-demo",
            config=CONFIG.format(path=HERE / "models" / "nap"),
            command=(*strace, sys.executable, "-m", "halley.cli.main"),
        )

    def __enter__(self) -> "Traced":
        super().__enter__()
        status, _, held = self.call("POST", "/v1/models/test/nap/predictions", {"input": {"seconds": 600}})
        assert status == 201, held
        self._held = held["id"]
        return self

    def __exit__(self, *args: object) -> None:
        self.call("POST", f"/v1/predictions/{self._held}/cancel")
        super().__exit__(*args)

    def lines(self) -> list[str]:
        """What was traced so far, a line for each call or part of a call."""
        return (self.home / "trace").read_text(errors="replace").splitlines()


def test_the_log_is_synced_between_a_create_and_its_201(tmp_path: Path) -> None:
    with Traced(tmp_path, f"{SYNCS},{TRAFFIC}") as traced:
        begin = len(_lines_with_answers(traced, 0, 1))  # a line is written when the client has its answer already
        for _ in range(10):
            _create(traced, 1, rounds=2)  # the second needs no parser
        lines = _lines_with_answers(traced, begin, 20)
    received = [number for number, line in enumerate(lines) if _RECEIVED.search(line)]
    sent = [number for number, line in enumerate(lines) if _SENT.search(line)]
    assert len(received) == len(sent)
    for came, went in zip(received, sent, strict=True):
        assert came < went
        assert _has_whole_sync(lines[came + 1 : went]), "\n".join(lines[came : went + 1])


def test_many_creates_share_a_sync(tmp_path: Path) -> None:
    with Traced(tmp_path, SYNCS) as traced:
        begin = len(traced.lines())
        for _ in range(ROUNDS // 2):
            _create(traced, CONNECTIONS, rounds=2)
        syncs = sum(1 for line in traced.lines()[begin:] if _SYNC_DONE.search(line))
    creates = ROUNDS * CONNECTIONS
    print(f"{creates} creates at {CONNECTIONS} connections, {syncs} syncs")
    assert 0 < syncs < creates / 4


def _create(server: Halley, connections: int, *, rounds: int) -> None:
    """In each round one create on each of so many connections, all sent before any answer is read."""
    raws = [RawCreate(server.port) for _ in range(connections)]
    request = create_bytes(ADMIN_KEY, "test/nap", {"seconds": 0.0})
    for _ in range(rounds):
        for raw in raws:
            raw.send(request)
        for raw in raws:
            answer = raw.answer(keep=True)
            assert answer is not None
            assert answer[0] == 201
    for raw in raws:
        raw.close()


def _lines_with_answers(server: Traced, begin: int, answers: int) -> list[str]:
    """What was traced since; an answer may arrive a moment before its line is written."""
    lines: list[str] = []
    for _ in range(500):
        lines = server.lines()[begin:]
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
