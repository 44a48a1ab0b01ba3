"""Creates that come again when the server was killed, or while the disk stalls, make one prediction."""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import pytest
from process import Halley

from e2e.breaking_proxy import BreakingProxy, Exchange, until
from e2e.conftest import make_case

pytestmark = [pytest.mark.fault, pytest.mark.slow]

BUILD: Final = Path(__file__).parent / "build.py"


class Faulty:
    """A server that can be told to die in a commit, or to wait there; and a caller of it."""

    def __init__(self, home: Path) -> None:
        self.controls = home / "controls"
        self.controls.mkdir()
        self.halley = Halley(
            home,
            command=(sys.executable, str(BUILD)),
            environment={"FAULT_FOLDER": str(self.controls)},
        )
        self.halley.start()
        self.key = self.halley.account("caller")

    def predictions(self) -> list[Any]:
        _, _, page = self.halley.call("GET", "/v1/predictions", key=self.key)
        return list(page["results"])

    def die_in_next_commit(self, where: str) -> None:
        (self.controls / "strike").write_text(f"{where} 1.0")

    def rise(self) -> None:
        """Start again as soon as it is dead."""
        process = self.halley.process
        assert process is not None
        process.wait(60)
        (self.controls / "strike").unlink()
        self.halley.start()

    def wait_ready(self) -> None:
        """Until it answers; it may be dead, and about to rise."""
        end = time.monotonic() + 120
        while not self._is_ready():
            assert time.monotonic() < end, "it never answers"
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            return self.halley.call("GET", "/readyz", key=None, timeout=5)[0] == 200
        except (OSError, HTTPException):
            return False

    def stall(self) -> None:
        (self.controls / "stall").touch()

    def is_stalled(self) -> bool:
        return (self.controls / "stalled").exists()

    def go_on(self) -> None:
        (self.controls / "stall").unlink()


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[Faulty]:
    server = Faulty(tmp_path)
    try:
        yield server
    finally:
        with suppress(FileNotFoundError):
            server.go_on()
        server.halley.stop()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("wait", [True, False], ids=["waiting", "not waiting"])
@pytest.mark.parametrize(("where", "repeats"), [("after_commit", 1), ("before_commit", 0)])
def test_a_server_that_dies_around_a_commit_makes_one(
    faulty: Faulty, tmp_path: Path, where: str, repeats: int, wait: bool
) -> None:
    """After the commit the second try finds what the first made; before it there is nothing to find."""
    with (
        BreakingProxy(faulty.halley.port, lambda: 0, before=faulty.wait_ready) as proxy,
        ThreadPoolExecutor(1) as pool,
    ):
        faulty.die_in_next_commit(where)
        answer = pool.submit(make_case("py2", proxy.url, faulty.key, tmp_path), "call", wait=wait)
        faulty.rise()
        assert answer.result() == "slept for 0.5 s"
        assert [headers["x-stainless-retry-count"] for headers in proxy.creates] == ["0", "1"]
    (made,) = faulty.predictions()
    assert made["status"] == "succeeded"
    assert made.get("repeated_creates", 0) == repeats


@pytest.mark.timeout(400)
def test_a_key_outlives_the_server(faulty: Faulty) -> None:
    create = partial(
        faulty.halley.call,
        "POST",
        "/v1/models/demo/noop/predictions",
        {"input": {"prompt": "once"}},
        key=faulty.key,
        headers={"Idempotency-Key": "k"},
    )
    faulty.die_in_next_commit("after_commit")
    with pytest.raises(OSError, match=r"."):
        create()
    faulty.rise()
    status, headers, made = create()
    assert (status, headers["idempotency-replayed"]) == (201, "true")
    assert [one["id"] for one in faulty.predictions()] == [made["id"]]


@pytest.mark.timeout(400)
def test_a_key_is_free_if_the_server_died_before_the_commit(faulty: Faulty) -> None:
    path, key = "/v1/models/demo/noop/predictions", {"Idempotency-Key": "k"}
    faulty.die_in_next_commit("before_commit")
    with pytest.raises(OSError, match=r"."):
        faulty.halley.call("POST", path, {"input": {"prompt": "one"}}, key=faulty.key, headers=key)
    faulty.rise()
    status, headers, _ = faulty.halley.call("POST", path, {"input": {"prompt": "two"}}, key=faulty.key, headers=key)
    assert status == 201
    assert "idempotency-replayed" not in headers
    assert len(faulty.predictions()) == 1


def dropped_while_stalled(faulty: Faulty) -> Callable[[Exchange], None]:
    def drop(exchange: Exchange) -> None:
        exchange.send()
        until(faulty.is_stalled)
        exchange.break_off()

    return drop


@pytest.mark.timeout(400)
@pytest.mark.parametrize("wait", [True, False], ids=["waiting", "not waiting"])
@pytest.mark.parametrize(("client", "how"), [("js", "dropped_connection"), ("py2", "retry_counter")])
def test_a_connection_that_drops_while_the_disk_stalls_makes_one(
    faulty: Faulty, tmp_path: Path, client: str, how: str, wait: bool
) -> None:
    with (
        BreakingProxy(faulty.halley.port, lambda: 0, dropped_while_stalled(faulty)) as proxy,
        ThreadPoolExecutor(1) as pool,
    ):
        faulty.stall()
        answer = pool.submit(make_case(client, proxy.url, faulty.key, tmp_path), "call", wait=wait)
        until(lambda: proxy.sent == 2)  # the repeat is on its way, and what it repeats is not stored yet
        assert faulty.is_stalled()
        faulty.go_on()
        assert answer.result() == "slept for 0.5 s"
    (made,) = faulty.predictions()
    assert made["repeated_creates"] == 1
    _, _, counts = faulty.halley.call("GET", "/v1/counts")
    assert counts["replayed_creates"][how] == 1
