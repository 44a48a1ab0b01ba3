"""A store that takes nothing for longer than the lease: reads go on, creates are refused politely, no work is lost."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from e2e.process import Halley
from fault.store_outages import FullDisk, Locked, Refusing, StoreOutage, create, ended, get, made, until

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(300)]

SHUT_SECONDS: Final = 10.0  # the lease is 3
NAP_SECONDS: Final = 14.0
DREAMS: Final = ["dream 0", "dream 1", "dream 2", "awake"]


@pytest.fixture(params=[Locked, Refusing, FullDisk])
def outage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreOutage]:
    with request.param(tmp_path) as outage:
        yield outage


def two_naps(server: Halley) -> tuple[str, str]:
    """One that has published output, and one that has not; both run."""
    loud = made(server, seconds=NAP_SECONDS, dreams=3)
    quiet = made(server, seconds=NAP_SECONDS)
    until(server, lambda: bool(get(server, loud)["output"]), "it has dreamt")
    until(server, lambda: get(server, quiet)["status"] == "processing", "it runs")
    return loud, quiet


def check_refused(server: Halley) -> None:
    """No create is taken, and the refusal says when to come again."""
    for _ in range(200):  # what little room there is may take a few
        status, headers, body = create(server, seconds=0.0)
        if status != 201:
            break
    assert status == 503, body
    assert int(headers["retry-after"]) >= 1
    assert headers["content-type"].startswith("application/problem+json")
    assert any(word in body["detail"] for word in ("room", "locked", "being loaded")), body


def check_not_ready(server: Halley) -> None:
    """A balancer is told, and why; whoever asks whether the process lives is told that it does."""
    status, headers, body = server.call("GET", "/readyz", key=None)
    assert (status, body["status"]) == (503, "not ready"), body
    assert int(headers["retry-after"]) >= 1
    assert any(word in body["reasons"]["store"] for word in ("room", "locked", "longer than")), body
    assert answers(server)


def is_ready(server: Halley) -> bool:
    return bool(server.call("GET", "/readyz", key=None)[0] == 200)


def answers(server: Halley) -> bool:
    try:
        return server.call("GET", "/healthz", key=None)[0] == 200
    except OSError:
        return False


def test_running_work_continues_while_the_store_refuses_writes_for_longer_than_the_lease(outage: StoreOutage) -> None:
    server = outage.server
    process = server.process
    assert process is not None
    loud, quiet = two_naps(server)
    outage.begin()
    end = time.monotonic() + SHUT_SECONDS
    while time.monotonic() < end:
        check_refused(server)
        check_not_ready(server)
        assert {get(server, each)["status"] for each in (loud, quiet)} == {"processing"}
        assert process.poll() is None, server.log()
        time.sleep(0.5)
    outage.clear()
    until(server, lambda: create(server, seconds=0.0)[0] == 201, "creates are taken again")
    until(server, lambda: is_ready(server), "it is ready again")
    assert ended(server, made(server, seconds=0.0))["status"] == "succeeded"
    one, other = ended(server, loud), ended(server, quiet)
    assert (one["status"], one["output"], one["logs"]) == ("succeeded", DREAMS, "slept\n"), server.log()
    assert (other["status"], other["output"], other["logs"]) == ("succeeded", ["awake"], "slept\n"), "attempt 1"
    assert process.poll() is None
    assert "went to another holder" not in server.log()


def test_a_server_started_while_the_store_refuses_writes_reads_and_then_continues(outage: StoreOutage) -> None:
    server = outage.server
    over = made(server, seconds=0.0)
    assert ended(server, over)["status"] == "succeeded"
    loud, quiet = two_naps(server)
    outage.begin()
    server.kill()
    server.start(wait=False)
    until(server, lambda: answers(server), "it answers")
    end = time.monotonic() + 2 * 3.0
    while time.monotonic() < end:
        assert get(server, over)["output"] == ["awake"]
        assert {get(server, each)["status"] for each in (loud, quiet)} == {"processing"}
        status, _, body = server.call("GET", "/readyz?verbose", key=None)
        assert (status, body["checks"]["queue"]) == (503, "ok"), body
        assert {"session", "store"} <= set(body["reasons"]), body
        check_refused(server)
    outage.clear()
    until(server, lambda: create(server, seconds=0.0)[0] == 201, "creates are taken again")
    fresh = ended(server, made(server, seconds=0.0))
    assert fresh["status"] == "succeeded", f"{fresh}\n{server.log()}"
    lost, again = ended(server, loud), ended(server, quiet)
    assert (lost["status"], lost["termination_reason"]) == ("failed", "worker_lost")
    assert (again["status"], again["output"]) == ("succeeded", ["awake"])
    assert "attempt 2 begins" in again["logs"]


@pytest.mark.parametrize("outage", [Refusing], indirect=True)
def test_a_stop_ends_while_the_store_refuses_writes(outage: StoreOutage) -> None:
    server = outage.server
    loud, quiet = two_naps(server)
    outage.begin()
    assert server.process is not None
    server.process.terminate()
    assert server.process.wait(120) == 0, server.log()
    outage.clear()
    server.start()
    assert ended(server, loud)["termination_reason"] == "worker_lost"
    assert ended(server, quiet)["status"] == "succeeded"


@pytest.mark.parametrize("outage", [Refusing], indirect=True)
def test_a_model_that_cannot_be_stored_at_the_start_is_late_and_not_broken(outage: StoreOutage) -> None:
    server = outage.server
    over = made(server, seconds=0.0)
    assert ended(server, over)["status"] == "succeeded"
    quiet = made(server, seconds=NAP_SECONDS)
    until(server, lambda: get(server, quiet)["status"] == "processing", "it runs")
    outage.begin()
    server.kill()
    config = server.home / "halley.toml"
    config.write_text(config.read_text().replace('models/nap"', 'models/nap"\nretention = "1h"'))
    server.start(wait=False)
    until(server, lambda: answers(server), "it answers")
    time.sleep(3)
    assert get(server, over)["status"] == "succeeded"
    status, _, body = server.call("GET", "/readyz", key=None)
    assert (status, "being loaded" in str(body)) == (503, True), body
    check_refused(server)
    outage.clear()
    server.wait_ready()
    assert ended(server, quiet)["status"] == "succeeded", "what waited for the model has waited on"
    assert ended(server, made(server, seconds=0.0))["status"] == "succeeded"


@pytest.mark.parametrize("outage", [FullDisk], indirect=True)
def test_due_data_is_deleted_after_a_start_on_a_full_disk(outage: StoreOutage) -> None:
    server = outage.server
    letters = [made(server, "test/letter", seconds=0.0, text=letter, times=2**20) for letter in "abcd"]
    for each in letters:
        assert ended(server, each)["status"] == "succeeded"
    server.kill()
    server.start()  # what the models left in their temporary folder is gone
    outage.begin()
    server.kill()
    server.start(wait=False)
    until(server, lambda: answers(server), "it answers")
    check_refused(server)
    until(server, lambda: create(server, seconds=0.0)[0] == 201, "what is due has made room")
    for each in letters:
        until(server, lambda each=each: bool(get(server, each)["data_removed"]), "its data is gone")  # type: ignore[misc]
    # how many of them at once is chance: a look may come when only the first of them is due
    assert re.search(r"the disk is full: deleted [1-4] files?\b", server.log())
