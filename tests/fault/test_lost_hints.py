"""Hints never carry a wait alone: under a bus that loses them all, everybody is told one poll interval later."""

import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from e2e.process import Halley

pytestmark = pytest.mark.fault

HERE: Final = Path(__file__).parent
RUN_SECONDS: Final = 1.5
PROMPT_SECONDS: Final = 10.0  # after the end: 2, and room for a busy machine; a wait that hangs on a hint takes 15
WAIT: Final = "wait=60"
CREATED: Final[dict[int, str]] = {}  # by thread


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    folder = HERE.parent / "e2e" / "models" / "pace"
    config = f'[models."test/pace"]\npath = "{folder}"\npreload = true\n'
    command = (sys.executable, str(HERE / "lossy_bus_server.py"))
    with Halley(tmp_path_factory.mktemp("lossy"), "--no-demo", config=config, command=command) as running:
        yield running


def create(server: Halley, **headers: str) -> Any:
    body = {"input": {"seconds": RUN_SECONDS}, "stream": True}
    status, _, made = server.call("POST", "/v1/models/test/pace/predictions", body, headers=headers)
    assert status in (201, 202), made
    CREATED[threading.get_ident()] = made["id"]
    return made


def created_with_wait(server: Halley) -> str:
    return str(create(server, Prefer=WAIT)["status"])


def got_with_wait(server: Halley) -> str:
    return str(server.call("GET", f"/v1/predictions/{create(server)['id']}", headers={"Prefer": WAIT})[2]["status"])


def got_with_validator(server: Halley) -> str:
    path, shown = f"/v1/predictions/{create(server)['id']}", {}
    while shown.get("status") != "succeeded":  # each change is told
        _, headers, shown = server.call("GET", path)
        if shown["status"] != "succeeded":
            told = server.call("GET", path, headers={"Prefer": WAIT, "If-None-Match": headers["etag"]})
            shown = told[2] or shown
    return str(shown["status"])


def streamed(server: Halley) -> str:
    return read(server, create(server)["urls"]["stream"], b"event: done", "succeeded")


def followed(server: Halley) -> str:
    return read(server, f"/v1/predictions/{create(server)['id']}/events", b'"status":"succeeded"', "succeeded")


def listened(server: Halley) -> str:
    made: list[bytes] = []  # the stream tells of the predictions of all ways
    with ThreadPoolExecutor(1) as pool:
        mark = b'\\"status\\":\\"succeeded\\"'
        told = pool.submit(read, server, "/v1/webhooks/listen", mark, "succeeded", made)
        time.sleep(0.3)  # it listens
        made.append(create(server)["id"].encode())
        return told.result()


def read(server: Halley, path: str, mark: bytes, word: str, about: Sequence[bytes] = (b"",)) -> str:
    """Read events until the mark comes with an id of these, which means the word."""
    url = path if path.startswith("http") else server.url + path
    headers = {"Authorization": f"Bearer {server.key}", "Accept": "text/event-stream"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=120) as answer:
        return word if any(mark in line and any(one in line for one in about) for line in answer) else "cut"


WAYS: Final = (created_with_wait, got_with_wait, got_with_validator, streamed, followed, listened)


def test_waiting_requests_are_answered_without_any_hint(server: Halley) -> None:
    def timed(way: Callable[[Halley], str]) -> tuple[str, float]:
        """What was told, and how many seconds after it was so."""
        status, told_at = way(server), datetime.now(UTC)
        row = server.call("GET", f"/v1/predictions/{CREATED[threading.get_ident()]}")[2]
        assert row["status"] == status, row
        return status, (told_at - datetime.fromisoformat(row["completed_at"])).total_seconds()

    with ThreadPoolExecutor(len(WAYS)) as pool:
        found = dict(zip((way.__name__ for way in WAYS), pool.map(timed, WAYS), strict=True))
    print({name: round(seconds, 2) for name, (_, seconds) in found.items()})
    assert {status for status, _ in found.values()} == {"succeeded"}, found
    assert all(seconds < PROMPT_SECONDS for _, seconds in found.values()), found
