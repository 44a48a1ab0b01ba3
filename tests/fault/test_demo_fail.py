"""Every way in which a model can go wrong ends one prediction, with a reason, and nothing else; and how servers end."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from process import Halley

import halley
from fault.runners import left_of, runners_of

pytestmark = [pytest.mark.fault, pytest.mark.slow]

HERE: Final = Path(__file__).parent
PATIENCE_SECONDS: Final = 120.0
CONFIG: Final = """
[server]
access_log = false
[runs]
cancel_grace_seconds = 0.5
[models."test/nap"]
path = "{nap}"
preload = true
[models."test/slow"]
path = "{slow}"
run_timeout_seconds = 1
"""

MODES: Final = {
    "raise": ("asked to fail",),
    "exit": ("exited with code 7",),
    "segfault": ("SIGSEGV",),
    "oom": ("out of memory",),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    with _server(tmp_path_factory.mktemp("fail")) as started:
        yield started


@pytest.mark.parametrize("mode", MODES)
def test_each_failure_ends_with_its_reason_and_the_next_prediction_works(server: Halley, mode: str) -> None:
    failed = _ended(server, _create(server, "demo/fail", mode=mode))
    assert failed["status"] == "failed"
    for words in MODES[mode]:
        assert words in failed["error"], failed["error"]
    assert failed["completed_at"] is not None
    assert f"about to fail: {mode}" in failed["logs"]
    _works_again(server)


def test_one_that_hangs_can_be_canceled(server: Halley) -> None:
    made = _create(server, "demo/fail", mode="hang")
    _wait_until(server, "it hangs", lambda: "about to fail" in _get(server, made)["logs"])
    status, _, canceled = server.call("POST", f"/v1/predictions/{made}/cancel")
    assert (status, canceled["status"]) == (200, "canceled")
    _works_again(server)
    assert _get(server, made)["status"] == "canceled"


def test_one_that_hangs_ends_at_its_deadline(server: Halley) -> None:
    _works_again(server)  # loaded, so that the second is spent running
    made = _create(server, "demo/fail", {"Cancel-After": "5s"}, mode="hang")
    assert _ended(server, made)["status"] == "canceled"
    _works_again(server)


def test_one_that_hangs_ends_at_the_limit_of_its_model(server: Halley) -> None:
    failed = _ended(server, _create(server, "test/slow", mode="hang"))
    assert failed["status"] == "failed"
    assert "longer than its limit" in failed["error"]
    again = _ended(server, _create(server, "test/slow", mode="raise"))
    assert "asked to fail" in again["error"], again["error"]


def test_a_killed_server_leaves_no_runner_behind(tmp_path: Path) -> None:
    server = _server(tmp_path).start()
    try:
        made = _create(server, "test/nap", seconds=60.0)
        _wait_until(server, "it runs", lambda: _get(server, made)["status"] == "processing")
        assert server.process is not None
        runners = runners_of(server.process.pid)
        assert runners
    finally:
        server.kill()
    assert not left_of(runners)


def test_a_second_server_on_the_same_data_is_refused_with_the_holders_name(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with _server(tmp_path) as first:
        second = Halley(tmp_path / "second", "--no-demo", "--data", str(tmp_path / "data"))
        second.start(wait=False)
        assert first.process is not None
        assert second.process is not None
        assert second.process.wait(PATIENCE_SECONDS) != 0
        assert f"process {first.process.pid}" in second.log()
        assert str(tmp_path / "data") in second.log().replace("\n", "")
        assert first.call("GET", "/readyz")[0] == 200


def test_sigterm_under_load_loses_nothing(tmp_path: Path) -> None:
    server = _server(tmp_path).start()
    acknowledged: list[str] = []
    threads = [threading.Thread(target=_create_until_refused, args=(server, acknowledged)) for _ in range(4)]
    for thread in threads:
        thread.start()
    _wait_until(server, "much runs and waits", lambda: len(acknowledged) >= 60)
    assert server.stop() == 0, server.log()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    with server:
        for each in acknowledged:
            assert _ended(server, each)["status"] == "succeeded"


def _server(home: Path) -> Halley:
    slow = home / "slow"
    shutil.copytree(Path(halley.__file__).parent / "demo" / "fail", slow)
    with (slow / "predict.py").open("a") as source:
        source.write("\n# another version\n")
    return Halley(home, config=CONFIG.format(nap=HERE / "models" / "nap", slow=slow))


def _create(server: Halley, model: str, headers: dict[str, str] | None = None, **given: Any) -> str:
    status, _, body = server.call("POST", f"/v1/models/{model}/predictions", {"input": given}, headers=headers)
    assert status == 201, body
    return str(body["id"])


def _create_until_refused(server: Halley, acknowledged: list[str]) -> None:
    while True:
        try:
            status, _, body = server.call("POST", "/v1/models/test/nap/predictions", {"input": {"seconds": 0.1}})
        except OSError:  # gone
            return
        if status == 503:  # going
            return
        assert status == 201, body
        acknowledged.append(body["id"])


def _get(server: Halley, prediction_id: str) -> Any:
    status, _, body = server.call("GET", f"/v1/predictions/{prediction_id}")
    assert status == 200, body
    return body


def _ended(server: Halley, prediction_id: str) -> Any:
    _wait_until(
        server,
        f"{prediction_id} has ended",
        lambda: _get(server, prediction_id)["status"] not in {"starting", "processing"},
    )
    return _get(server, prediction_id)


def _works_again(server: Halley) -> None:
    """The same model takes the next one, which reaches its own code; and another model works."""
    again = _ended(server, _create(server, "demo/fail", mode="raise"))
    assert "asked to fail" in again["error"], again["error"]
    assert _ended(server, _create(server, "test/nap", seconds=0.0))["status"] == "succeeded"


def _wait_until(server: Halley, what: str, is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, f"it is never so that {what}:\n{server.log()}"
        time.sleep(0.02)
