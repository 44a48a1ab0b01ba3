"""Rules of the contract that only the whole server can break: own links, odd files, full queues, secrets."""

import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process import Halley

pytestmark = pytest.mark.e2e

ECHO = "/v1/models/demo/echo/predictions"
WAIT = {"Prefer": "wait"}
CONFIG = "[limits]\nqueued_per_account = 2\nqueued_total = 3\n"


@pytest.fixture(scope="module")
def halley(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    with Halley(tmp_path_factory.mktemp("contract"), config=CONFIG) as server:
        yield server


def echo(halley: Halley, key: str | None = None, **given: object) -> dict[str, Any]:
    status, _, made = halley.call("POST", ECHO, {"input": given}, key=key or halley.key, headers=WAIT)
    assert status == 201, made
    return dict(made)


def upload(halley: Halley, name: str, content: bytes) -> dict[str, Any]:
    part = f'--b\r\nContent-Disposition: form-data; name="content"; filename="{name}"\r\n\r\n'.encode()
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    status, _, made = halley.call("POST", "/v1/files", part + content + b"\r\n--b--\r\n", headers=kind)
    assert status == 201, made
    return dict(made)


def test_every_type_comes_back_as_it_was_sent(halley: Halley) -> None:
    given = {"text": "é☃\u2028\r\n", "number": -3, "ratio": 1.25, "flag": False, "choice": "blue", "items": ["", "x"]}
    done = echo(halley, **given)
    assert done["input"] == given
    assert {name: done["output"][name] for name in given} == given


@pytest.mark.parametrize("name", ["plain.txt", "été ☃.txt", "a%2Fb.txt", "x" * 251 + ".txt"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff"], ids=["empty", "bytes"])
def test_a_file_comes_back_under_its_name(halley: Halley, name: str, content: bytes) -> None:
    link = echo(halley, file=upload(halley, name, content)["urls"]["get"])["output"]["file"]
    assert urllib.parse.unquote(link.rpartition("/")[2]) == name
    status, headers, found = halley.call("GET", link, key=None)
    assert (status, headers["content-length"], found) == (200, str(len(content)), content)


@pytest.mark.parametrize("origin", ["http://other.example", "https://tunnel.example:8443"])
def test_own_links_are_known_under_any_origin_and_prefix(halley: Halley, origin: str) -> None:
    file = upload(halley, "a.txt", b"hi")["urls"]["get"]
    output = echo(halley, file=file)["output"]["file"]
    path = urllib.parse.urlsplit(file).path
    for link in (origin + path, f"{origin}/replicate{path}/", f"{origin}/v1{path}", output.replace(halley.url, origin)):
        done = echo(halley, file=link)
        assert done["status"] == "succeeded", (link, done["error"])


def test_another_accounts_upload_is_not_there(halley: Halley) -> None:
    file = upload(halley, "mine.txt", b"hi")
    done = echo(halley, key=halley.account("mallory"), file=file["urls"]["get"])
    assert done["status"] == "failed"
    # as one sentence: clients show it as the message of their exception
    assert done["error"].startswith(f"input.file: the file {file['id']} does not exist")
    assert done["error"] == done["error"].strip()


def test_a_secret_reaches_the_model_and_nothing_else(halley: Halley) -> None:
    done = echo(halley, secret="canary-5f1c")
    assert (done["input"]["secret"], done["output"]["secret_length"]) == ("[REDACTED]", 11)
    status, _, refused = halley.call("POST", ECHO, {"input": {"secret": ["canary-5f1c"]}})
    assert (status, "canary" in str(refused)) == (422, False)
    _, _, page = halley.call("GET", done["urls"]["web"], key=None)
    _, _, stream = halley.call("GET", done["urls"]["stream"] + "?logs=1", key=None)
    assert b"REDACTED" in page
    assert b"event: done" in stream
    for text in (page, stream, halley.output.read_bytes()):
        assert b"canary" not in text


def test_a_full_queue_is_429_for_its_owner_and_503_for_all(halley: Halley) -> None:
    def create(key: str) -> tuple[int, dict[str, str], Any]:
        return halley.call("POST", "/v1/models/demo/sleep/predictions", {"input": {"seconds": 60}}, key=key)

    running = create(halley.key)[2]["id"]
    while halley.call("GET", f"/v1/predictions/{running}", headers={"Prefer": "wait=1"})[2]["status"] == "starting":
        pass
    made = [(running, halley.key)]
    owner, other = halley.account("owner"), halley.account("other")
    for key, limit, expected in ((owner, "queued_per_account", 429), (other, "queued_total", 503)):
        status, headers, answer = create(key)
        while status == 201:
            made.append((answer["id"], key))
            status, headers, answer = create(key)
        assert (status, answer["status"], limit in answer["detail"]) == (expected, expected, True)
        assert int(headers["retry-after"]) == answer["retry_after"] >= 1
        assert headers.get("x-should-retry") != "false"
    assert len(made) == 4
    for prediction_id, key in made:
        assert halley.call("POST", f"/v1/predictions/{prediction_id}/cancel", key=key)[2]["status"] == "canceled"


def test_equal_models_under_two_names_are_both_served(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "predict.py").write_text("def predict(text: str) -> str:\n    return text\n")
    with Halley(tmp_path, str(tmp_path / "first"), str(tmp_path / "second"), "--no-demo") as server:
        versions = set()
        for name in ("first", "second"):
            path = f"/v1/models/local/{name}/predictions"
            status, _, done = server.call("POST", path, {"input": {"text": name}}, headers={"Prefer": "wait"})
            assert (status, done["model"], done["output"]) == (201, f"local/{name}", name)
            versions.add(done["version"])
        assert len(versions) == 2
        server.stop()
        server.start()
        for version in versions:  # the ids outlive a restart
            assert server.call("POST", "/v1/predictions", {"version": version, "input": {"text": "a"}})[0] == 201
