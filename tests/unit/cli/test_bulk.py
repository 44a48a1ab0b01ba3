"""Acting on all predictions that fit a filter, from the command line."""

from typing import Any

import pytest

from halley.cli.bulk import BulkOptions, act, read_filter_words, read_what
from halley.cli.failures import ExitCode, UsageProblem
from halley.cli.screen import Screen

PREVIEW = {
    "action": "cancel",
    "filter": {"status": "starting", "created_before": "2026-01-10T00:00:00Z"},
    "description": "starting predictions",
    "total": 2,
    "is_more": False,
    "examples": [{"id": "p1", "model": "acme/a", "status": "starting", "created_at": "x", "error": None}],
}


class NoPause:
    def sleep(self, seconds: float) -> None: ...


class Server:
    """Answers as a server does; an action needs three looks. `interrupt`: Ctrl+C at the first look."""

    def __init__(self, *, interrupt: bool = False, **preview: Any) -> None:
        self.timing = NoPause()
        self.preview = PREVIEW | preview
        self.interrupt = interrupt
        self.asked: list[tuple[str, str, Any]] = []
        self.looks = 0

    def call(self, method: str, path: str, *, json: Any = None, headers: Any = None) -> Any:
        del headers
        self.asked.append((method, path, json))
        if path.endswith("/preview"):
            return self.preview
        if path.endswith("/stop"):
            return self.action("stopped", 1) | {"status_reason": "on request"}
        if method == "GET" and self.interrupt:
            raise KeyboardInterrupt
        self.looks += 1
        return self.action("finished", 2) if self.looks == 3 else self.action("running", 0)

    def action(self, status: str, done: int) -> Any:
        counts = {"total": 2, "done": done, "skipped": 0, "failed": 0, "remaining": 2 - done}
        return {"id": "b1", "status": status, "status_reason": None, "reasons": [], **counts}


def run(server: Server, **options: Any) -> int:
    given: dict[str, Any] = {
        "action": "cancel", "filter": {"status": "starting"}, "limit": None, "yes": True, "wait": True
    }  # fmt: skip
    return act(server, Screen(), BulkOptions(**given | options))  # type: ignore[arg-type]


def test_words_become_members() -> None:
    found = read_filter_words(["status=failed model=acme/*", "error='no memory = bad'"])
    assert found == {"status": "failed", "model": "acme/*", "error": "no memory = bad"}


@pytest.mark.parametrize("text", ["status", "=x", "status=", "status=a status=b", "error='x", "", " "])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UsageProblem):
        read_filter_words([text])


def test_either_an_id_or_a_filter_is_meant() -> None:
    assert read_what("p1", None) == ("p1", {})
    assert read_what(None, ["status=failed"]) == (None, {"status": "failed"})
    for given in ((None, None), ("p1", ["status=failed"])):
        with pytest.raises(UsageProblem):
            read_what(*given)


def test_it_counts_begins_with_what_was_counted_and_follows(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server()
    assert run(server) == ExitCode.SUCCEEDED
    assert [(method, path) for method, path, _ in server.asked] == [
        ("POST", "/bulk-actions/preview"),
        ("POST", "/bulk-actions"),
        ("GET", "/bulk-actions/b1"),
        ("GET", "/bulk-actions/b1"),
    ]
    assert server.asked[1][2]["filter"] == PREVIEW["filter"]
    said = capsys.readouterr().err
    assert "2 predictions: starting predictions" in said
    assert "2 done." in said


def test_nothing_is_done_where_no_person_can_be_asked() -> None:
    server = Server()
    with pytest.raises(UsageProblem, match="no person can be asked"):
        run(server, yes=False)
    assert len(server.asked) == 1


def test_more_than_one_action_takes_needs_a_limit() -> None:
    with pytest.raises(UsageProblem, match="More than 2"):
        run(Server(is_more=True))
    assert run(Server(is_more=True), limit=2) == ExitCode.SUCCEEDED


def test_nothing_that_fits_is_no_fault() -> None:
    server = Server(total=0)
    assert run(server) == ExitCode.SUCCEEDED
    assert len(server.asked) == 1


def test_ctrl_c_stops_the_action(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(interrupt=True)
    assert run(server) == ExitCode.INTERRUPTED
    assert server.asked[-1][:2] == ("POST", "/bulk-actions/b1/stop")
    assert "1 done, 1 not begun. Stopped: on request." in capsys.readouterr().err


def test_without_waiting_the_id_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Server(), wait=False) == ExitCode.SUCCEEDED
    assert "b1" in capsys.readouterr().out
