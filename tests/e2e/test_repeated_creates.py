"""Clients that send a create again by themselves make one prediction; creates that are meant twice make two."""

import http.client
import itertools
import json
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from breaking_proxy import (
    BreakingProxy,
    Fault,
    answer_lost,
    bad_gateway,
    closed_again,
    closed_when_stored,
    passed,
    reset_when_stored,
)
from process import Case, Halley

from e2e.conftest import make_case

pytestmark = pytest.mark.e2e

SLEPT = "slept for 0.5 s"
_names = (f"twice{number}" for number in itertools.count())


class Caller:
    """An account of its own, on the way to the server through a proxy that breaks creates."""

    def __init__(self, halley: Halley, folder: Path) -> None:
        self.halley = halley
        self.key = halley.account(next(_names))
        self._folder = folder

    def predictions(self) -> list[Any]:
        status, _, page = self.halley.call("GET", "/v1/predictions", key=self.key)
        assert status == 200
        return list(page["results"])

    def stored(self) -> int:
        return len(self.predictions())

    def proxy(self, *plan: Fault) -> BreakingProxy:
        return BreakingProxy(self.halley.port, self.stored, *plan)

    def case(self, client: str, url: str) -> Case:
        return make_case(client, url, self.key, self._folder)

    def repeats(self) -> list[str]:
        """How the repeats of the only prediction were known, by its events."""
        (made,) = self.predictions()
        _, _, page = self.halley.call("GET", f"/v1/predictions/{made['id']}/events", key=self.key)
        told = [event["data"]["how"] for event in page["results"] if event["event"] == "repeated"]
        assert made.get("repeated_creates", 0) == len(told)
        return told


@pytest.fixture
def caller(halley: Halley, tmp_path: Path) -> Caller:
    return Caller(halley, tmp_path)


ways = pytest.mark.parametrize("fault", [closed_when_stored, reset_when_stored])


@ways
@pytest.mark.parametrize(("client", "how"), [("py2", "retry_counter"), ("js", "dropped_connection")])
def test_a_connection_that_drops_while_it_waits_makes_one(caller: Caller, client: str, how: str, fault: Fault) -> None:
    with caller.proxy(fault) as proxy:
        assert caller.case(client, proxy.url)("call", wait=True, seconds=2) == "slept for 2 s"
        assert len(proxy.creates) == 2
    assert caller.repeats() == [how]


@pytest.mark.parametrize(("client", "tries"), [("py2", 3), ("js", 6)])
def test_a_connection_that_drops_at_every_try_but_the_last_makes_one(caller: Caller, client: str, tries: int) -> None:
    with caller.proxy(closed_when_stored, *[closed_again] * (tries - 2)) as proxy:
        assert caller.case(client, proxy.url)("call", wait=True, seconds=3) == "slept for 3 s"
        assert len(proxy.creates) == tries
    assert len(caller.repeats()) == tries - 1


@ways
def test_a_connection_that_drops_before_the_answer_is_read_makes_one(caller: Caller, fault: Fault) -> None:
    with caller.proxy(fault) as proxy:
        assert caller.case("py2", proxy.url)("call", wait=False) == SLEPT
        assert len(proxy.creates) == 2
    assert caller.repeats() == ["retry_counter"]


@pytest.mark.parametrize("wait", [True, False], ids=["waiting", "not waiting"])
@pytest.mark.parametrize("fault", [bad_gateway, answer_lost])
@pytest.mark.parametrize("failures", [1, 2])
def test_an_answer_that_a_proxy_loses_makes_one(caller: Caller, fault: Fault, failures: int, wait: bool) -> None:
    with caller.proxy(*[fault] * failures) as proxy:
        assert caller.case("py2", proxy.url)("call", wait=wait) == SLEPT
        counts = [headers["x-stainless-retry-count"] for headers in proxy.creates]
    assert counts == [str(number) for number in range(failures + 1)]
    assert caller.repeats() == ["retry_counter"] * failures


def test_a_client_that_does_not_try_again_makes_one(caller: Caller) -> None:
    with caller.proxy(closed_when_stored) as proxy:
        assert "disconnected" in caller.case("py1", proxy.url)("call_in_vain")
        assert len(proxy.creates) == 1
    assert caller.repeats() == []


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
@pytest.mark.parametrize("wait", [True, False], ids=["waiting", "not waiting"])
@pytest.mark.parametrize("client", ["py1", "py2", "js"])
def test_two_that_are_meant_are_two(caller: Caller, client: str, wait: bool, at_once: bool) -> None:
    assert caller.case(client, caller.halley.url)("calls", wait=wait, at_once=at_once) == [SLEPT, SLEPT]
    made = caller.predictions()
    assert len(made) == 2
    assert not any("repeated_creates" in one for one in made)


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
@pytest.mark.parametrize(("client", "fault"), [("py2", bad_gateway), ("py2", closed_when_stored), ("js", passed)])
def test_two_that_are_meant_and_break_are_two(caller: Caller, client: str, fault: Fault, at_once: bool) -> None:
    plan = [fault, fault] if at_once else [fault, passed, fault]
    if client == "js":
        plan = [closed_when_stored] if at_once else [closed_when_stored, passed, closed_when_stored]
    with caller.proxy(*plan) as proxy:
        slept = caller.case(client, proxy.url)("calls", wait=True, at_once=at_once, seconds=2)
        assert slept == ["slept for 2 s"] * 2
    made = caller.predictions()
    assert len(made) == 2
    assert sum(one.get("repeated_creates", 0) for one in made) == len(plan) - plan.count(passed)


def create(caller: Caller, leave: Callable[[socket.socket], None], prefer: str | None) -> str:
    """One create on a connection of its own, read to the last byte; then it ends."""
    connection = http.client.HTTPConnection("127.0.0.1", caller.halley.port, timeout=120)
    headers = {"Authorization": f"Bearer {caller.key}", "Content-Type": "application/json"}
    body = json.dumps({"input": {"prompt": "same"}})
    connection.request(
        "POST", "/v1/models/demo/noop/predictions", body, headers | ({"Prefer": prefer} if prefer else {})
    )
    response = connection.getresponse()
    assert response.status == 201
    made = json.loads(response.read())
    leave(connection.sock)
    return str(made["id"])


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("prefer", [None, "wait"])
@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["close", "reset"])
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_a_client_that_got_its_answer_is_not_a_repeat(
    caller: Caller, leave: Callable[[socket.socket], None], prefer: str | None, pause: float
) -> None:
    made = set()
    for _ in range(4):
        made.add(create(caller, leave, prefer))
        time.sleep(pause)
    assert len(made) == caller.stored() == 4


@pytest.mark.parametrize("prefer", [None, "wait"])
def test_many_equal_creates_at_once_are_many(caller: Caller, prefer: str | None) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: create(caller, socket.socket.close, prefer), range(64)))
    assert len(set(made)) == caller.stored() == 64


def test_a_key_makes_one_for_many_at_once(caller: Caller) -> None:
    def post(_: int) -> tuple[int, Any]:
        status, headers, body = caller.halley.call(
            "POST",
            "/v1/models/demo/noop/predictions",
            {"input": {"prompt": "keyed"}},
            key=caller.key,
            headers={"Idempotency-Key": "order-1042"},
        )
        assert (status == 409) == (headers.get("x-should-retry") == "false")
        return status, body

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, range(64)))
    assert {status for status, _ in answers} <= {201, 409}
    assert len({body["id"] for status, body in answers if status == 201}) == 1
    assert caller.stored() == 1
    assert caller.repeats() == []


def test_the_operator_sees_the_counts(caller: Caller) -> None:
    with caller.proxy(bad_gateway) as proxy:
        caller.case("py2", proxy.url)("call", wait=False)
    status, _, counts = caller.halley.call("GET", "/v1/counts")
    assert status == 200
    assert counts["replayed_creates"]["retry_counter"] >= 1
    (made,) = caller.predictions()
    assert f"repeats the create of prediction {made['id']} (retry_counter)" in caller.halley.log()
