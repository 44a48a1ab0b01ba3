"""The models of examples/ run as their READMEs say, behind one real server."""

import base64
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from process import Halley

pytestmark = pytest.mark.e2e

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    """Copies, for some models write where they stand."""
    home = tmp_path_factory.mktemp("examples")
    for name in ("chat", "command"):
        shutil.copytree(EXAMPLES / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    with Halley(home, "--no-demo", str(home / "chat"), str(home / "command")) as running:
        yield running


def predict(server: Halley, name: str, **given: Any) -> Any:
    path = f"/v1/models/local/{name}/predictions"
    status, _, answer = server.call("POST", path, {"input": given}, headers={"Prefer": "wait=50"})
    assert status in {200, 201}, answer
    return answer


def as_url(content: bytes, kind: str = "text/plain") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=120) as answer:
        content: bytes = answer.read()
        return content


def test_chat_answers_word_by_word(server: Halley) -> None:
    answer = predict(server, "chat", prompt="I need my coffee.", seed=1)
    assert answer["status"] == "succeeded"
    assert len(answer["output"]) > 1
    assert "your coffee" in "".join(answer["output"])
    assert answer["output"] == predict(server, "chat", prompt="I need my coffee.", seed=1)["output"]


def test_chat_reports_its_metrics(server: Halley) -> None:
    answer = predict(server, "chat", prompt="Hello there")
    assert answer["metrics"]["input_token_count"] == 2
    assert answer["metrics"]["output_token_count"] == len(answer["output"])
    assert answer["metrics"]["time_to_first_token"] >= 0


def test_chat_streams(server: Halley) -> None:
    _, _, made = server.call("POST", "/v1/models/local/chat/predictions", {"input": {"prompt": "hi"}, "stream": True})
    _, _, stream = server.call("GET", made["urls"]["stream"], headers={"Accept": "text/event-stream"})
    assert stream.count(b"event: output") > 1
    assert b"event: done" in stream


def test_command_sorts(server: Halley) -> None:
    answer = predict(server, "command", document=as_url(b"b 10\na 9\nc 9\n"), order="numbers", column=2, unique=True)
    assert (answer["status"], download(answer["output"])) == ("succeeded", b"a 9\nb 10\n")
    assert answer["logs"].startswith("+ /")


def test_command_fails_with_the_programs_own_words_in_the_logs(server: Halley) -> None:
    answer = predict(server, "command", document=as_url(b"b\na\n"), check=True)
    assert answer["status"] == "failed"
    assert answer["error"].startswith("RuntimeError: sort ended with exit status 1")
    assert "disorder: a" in answer["logs"]
