"""What is open ends soon after its key was revoked, long before what it follows."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from e2e.process import Halley

pytestmark = pytest.mark.e2e

SECONDS = 150.0  # of the predictions, which are canceled in the end; what leans on a key must end long before


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    folder = Path(__file__).parent / "models" / "pace"
    config = f'[models."test/pace"]\npath = "{folder}"\npreload = true\n'
    with Halley(tmp_path_factory.mktemp("revoked"), "--no-demo", config=config) as running:
        yield running


class Open:
    """A request that stays open, in a thread."""

    def __init__(self, url: str, key: str | None, *, accept: str = "text/event-stream") -> None:
        headers = {"Accept": accept} if key is None else {"Accept": accept, "Authorization": f"Bearer {key}"}
        self._request = urllib.request.Request(url, headers=headers)
        self.has_begun = threading.Event()

    def read(self) -> str:
        with urllib.request.urlopen(self._request, timeout=150) as answer:
            text = b""
            for line in answer:
                text += line
                self.has_begun.set()
        return text.decode()


def test_what_is_open_ends_with_its_key(server: Halley) -> None:
    status, _, first = server.call("POST", "/v1/keys", {"username": "alice"})
    assert status == 201
    second = server.account("alice")

    def create(**headers: str) -> tuple[int, dict[str, str], Any]:
        body = {"input": {"seconds": SECONDS}, "stream": True}
        return server.call("POST", "/v1/models/test/pace/predictions", body, key=first["token"], headers=headers)

    made = create()[2]
    path = f"/v1/predictions/{made['id']}"
    wait_until(lambda: server.call("GET", path, key=second)[2]["status"] == "processing")
    streams = [
        Open(made["urls"]["stream"], first["token"]),
        Open(made["urls"]["stream"], None),
        Open(f"{server.url}{path}/events", first["token"]),
        Open(f"{server.url}/v1/webhooks/listen", first["token"]),
    ]
    with ThreadPoolExecutor(8) as pool:
        reading = [pool.submit(stream.read) for stream in streams]
        of_another = Open(f"{server.url}{path}/events", second)
        goes_on = pool.submit(of_another.read)
        held = pool.submit(server.call, "GET", path, key=first["token"], headers={"Prefer": "wait=60"})
        creating = pool.submit(create, Prefer="wait=55")
        for stream in [*streams, of_another]:
            assert stream.has_begun.wait(60)
        wait_until(lambda: len(server.call("GET", "/v1/predictions", key=second)[2]["results"]) == 2)
        try:
            assert server.call("DELETE", f"/v1/keys/{first['id']}")[0] == 204
            check(reading, held, creating)
            assert not goes_on.done(), "another key of the account is as good as before"
            assert server.call("GET", path, key=second)[2]["status"] == "processing"
            with pytest.raises(urllib.error.HTTPError, match="404"):
                Open(made["urls"]["stream"], None).read()
            assert ": hi" in Open(f"{server.url}{path}/events?follow=0", second).read()
        finally:
            for one in server.call("GET", "/v1/predictions", key=second)[2]["results"]:
                server.call("POST", f"/v1/predictions/{one['id']}/cancel", key=second)
        assert '"status":"canceled"' in goes_on.result(60)


def check(reading: list[Future[str]], held: Future[Any], creating: Future[Any]) -> None:
    """They end while the predictions run."""
    for told in reading:
        text = told.result(60)
        assert text.startswith(": hi")
        assert "event: done" not in text
        assert "succeeded" not in text
    assert held.result(60)[0] == 401
    status, _, shown = creating.result(60)
    assert (status, shown["status"]) == (202, "starting"), "the create stands, and says no more than it knew"


def wait_until(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1500):
        if is_so():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come to that")
