"""Abandoned work with the real server: clients that vanish, and servers that do."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.process import Halley

pytestmark = pytest.mark.e2e

MODELS = Path(__file__).parent / "models"
CONFIG = f"""
[runs]
abandoned_grace_seconds = 5
[models."test/pace"]
path = "{MODELS / "pace"}"
preload = true
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Halley]:
    with Halley(tmp_path, "--no-demo", config=CONFIG) as running:
        yield running


def create(server: Halley, prefer: str, seconds: float = 600.0) -> dict[str, Any]:
    status, _, made = server.call(
        "POST", "/v1/models/test/pace/predictions", {"input": {"seconds": seconds}}, headers={"Prefer": prefer}
    )
    assert status == 201, made
    return dict(made)


def waits_for(server: Halley, prediction_id: str) -> socket.socket:
    """A connection whose request is held."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(
        f"GET /v1/predictions/{prediction_id} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {server.key}\r\nPrefer: wait=60\r\n\r\n".encode()
    )
    return connection


def listed(server: Halley, prediction_id: str) -> dict[str, Any]:
    """How it is, without a read that would save it."""
    _, _, page = server.call("GET", "/v1/predictions")
    return next(dict(one) for one in page["results"] if one["id"] == prediction_id)


def until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def is_over(server: Halley, prediction_id: str) -> bool:
    return listed(server, prediction_id)["status"] not in ("starting", "processing")


def test_a_disconnected_client_cancels_its_prediction_if_it_asked_for_that(server: Halley) -> None:
    wanted, plain = create(server, "cancel-abandoned")["id"], create(server, "respond-async", 8.0)["id"]
    for connection in (waits_for(server, wanted), waits_for(server, plain)):
        time.sleep(0.3)
        connection.close()
    until(lambda: is_over(server, wanted))
    ended = listed(server, wanted)
    assert (ended["status"], ended["termination_reason"]) == ("canceled", "abandoned")
    until(lambda: is_over(server, plain))
    assert listed(server, plain)["status"] == "succeeded"


def test_a_server_that_is_killed_does_not_forget_who_waited(server: Halley) -> None:
    lost, saved = create(server, "cancel-abandoned")["id"], create(server, "cancel-abandoned", 10.0)["id"]
    with waits_for(server, lost), waits_for(server, saved):
        time.sleep(4)  # it is noted a moment later
        server.kill()
    server.start()
    with waits_for(server, saved) as connection:
        until(lambda: is_over(server, lost))
        ended = listed(server, lost)
        assert (ended["status"], ended["termination_reason"]) == ("canceled", "abandoned")
        connection.settimeout(40)
        answer = b""
        while b'"succeeded"' not in answer:
            part = connection.recv(65536)
            assert part, answer
            answer += part
