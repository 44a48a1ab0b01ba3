"""Several processes of one server on one data folder: whoever dies, nothing is lost, doubled, overturned or stuck.

The long form is `scripts/faults roles`. The same harness must find the planted bugs of its processes.
"""

import socket
import time
from pathlib import Path
from typing import Final

import pytest
from receiver import Receiver

from fault.mix_ledger import Books
from fault.mix_steps import make_models
from fault.roles_mix import WORKERS_AND_API, Process, Schedule, Shape, run_mix
from fault.runners import runners_of

pytestmark = [pytest.mark.fault, pytest.mark.slow]

TWO_MAINTAINERS: Final = {"other": Shape(roles="worker,maintainer"), "front": WORKERS_AND_API["front"]}
LONG_LEASE: Final = 300.0


@pytest.mark.timeout(900)
def test_three_processes_die_and_no_promise_is_broken(tmp_path: Path) -> None:
    schedule = Schedule(predictions=80, deaths=4, pauses=1)
    report = run_mix(tmp_path, schedule)
    print(report)
    assert not report.violations
    assert report.acknowledged >= schedule.predictions
    assert report.deaths == dict.fromkeys(schedule.shapes, schedule.deaths)
    assert report.pauses == dict.fromkeys(schedule.paused, schedule.pauses)


@pytest.mark.timeout(600)
def test_a_maintainer_that_writes_without_its_duty_is_found(tmp_path: Path) -> None:
    report = run_mix(
        tmp_path,
        Schedule(
            predictions=30,
            deaths=0,
            pauses=10,
            shapes=TWO_MAINTAINERS,
            paused=("other", "front"),
            planted="no_duty_fence",
            until_caught=True,
        ),
    )
    print(report)
    assert report.late_writes, "a maintainer wrote with an old fence, and nobody noticed"


@pytest.mark.timeout(600)
def test_a_worker_that_fails_what_it_does_not_know_is_found(tmp_path: Path) -> None:
    report = run_mix(
        tmp_path, Schedule(predictions=300, deaths=5, pauses=0, planted="fails_unknown", until_caught=True)
    )
    print(report)
    assert report.wrong_endings == ["failed version_unavailable"]


@pytest.mark.timeout(600)
def test_each_role_in_a_process_of_its_own_serves_together(tmp_path: Path) -> None:
    make_models(tmp_path)
    processes = [Process(tmp_path, role, Shape(roles=role)) for role in ("maintainer", "worker", "api")]
    maintainer, worker, api = processes
    with Receiver() as receiver:
        try:
            for process in processes:
                process.start()
            given = {"input": {"seconds": 0.0}, "webhook": receiver.url}
            path = "/v1/models/test/nap/predictions"
            status, _, made = api.server.call("POST", path, given, headers={"Prefer": "wait=30"})
            assert (status, made["status"], made["output"][-1]) == (201, "succeeded", "awake")
            told = receiver.wait(lambda arrived: any(one.body["status"] == "succeeded" for one in arrived))
            assert told[-1].body["id"] == made["id"]
            assert api.server.call("GET", "/v1/replicas")[2]["results"] == []
            assert [bool(runners_of(pid_of(process))) for process in processes] == [False, True, False]
            assert [is_listening(process.server.port) for process in processes] == [False, False, True]
            assert [process.server.stop() for process in (worker, maintainer, api)] == [0, 0, 0]
        finally:
            kill(*processes)


@pytest.mark.timeout(600)
def test_a_process_that_is_alone_takes_back_at_once_and_one_that_is_not_waits(tmp_path: Path) -> None:
    make_models(tmp_path)
    whole = Process(tmp_path, "whole", Shape(roles="worker,maintainer,api"), lease_seconds=LONG_LEASE)
    helper = Process(tmp_path, "helper", Shape(roles="worker"), lease_seconds=LONG_LEASE)
    books = Books(tmp_path / "data" / "halley.db")
    try:
        whole.start()
        first = begin(whole, books)
        whole.server.kill()
        whole.start()  # nobody else is there
        assert "attempt_lost" in books.kinds(first), "it waited for the lease of a process that is gone"
        (holder,) = books.rows("SELECT fence FROM duties")
        assert holder == (2,), "it did not take the duty of the process that is gone"
        helper.start()
        second = begin(whole, books)
        whole.server.kill()
        whole.start()
        assert "attempt_lost" not in books.kinds(second), "it took work from a process that may live"
    finally:
        kill(whole, helper)


def begin(process: Process, books: Books) -> str:
    """Create a prediction that runs for long; return when it runs."""
    status, _, made = process.server.call("POST", "/v1/models/test/nap/predictions", {"input": {"seconds": 120}})
    assert status == 201, made
    end = time.monotonic() + 90
    while "started" not in books.kinds(made["id"]):
        assert time.monotonic() < end, process.server.log()
        time.sleep(0.05)
    return str(made["id"])


def kill(*processes: Process) -> None:
    """Leave none behind; harmless for those that have ended."""
    for process in processes:
        if process.server.process is not None:
            process.server.kill()


def pid_of(process: Process) -> int:
    assert process.server.process is not None
    return process.server.process.pid


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
