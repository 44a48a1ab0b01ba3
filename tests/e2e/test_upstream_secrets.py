"""Tokens of services and secrets of inputs are in nothing that the server writes or shows, whatever a service says."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import pytest
from process import Halley
from searching import Searched, files_with
from standins import Seen, StandIn, send

pytestmark = pytest.mark.e2e

MARK: Final = os.urandom(6).hex()  # other tests may run beside this one
TOKENS: Final = {name: f"r8_{MARK}-{name}" for name in ("variable", "file", "rotated", "cog", "job")}
SECRET: Final = f"{MARK}-secret-of-an-input"
PLANTED: Final = f"{MARK}-planted"
CONFIG: Final = """
[providers.named]
kind = "replicate"
url = "{url}/v1"
token_env = "NAMED_API_KEY"
look_seconds = 1
data_url_bytes = 200

[providers.filed]
kind = "replicate"
url = "{url}/v1"
token_file = "{token_file}"
profile = "cometapi"
look_seconds = 1

[providers.gpu]
kind = "cog"
url = "{url}/v1"
token_env = "GPU_TOKEN"

[providers.tasks]
kind = "http-job"
file = "{job}"
url = "{url}/v1"
token_env = "TASKS_TOKEN"

[routes."gpu/*"]
providers = ["gpu"]

[routes."tasks/*"]
providers = ["tasks"]

[routes."named/*"]
providers = ["named"]
model = "acme/{{name}}"
schema = "{schema}"

[routes."filed/*"]
providers = ["filed"]
model = "acme/{{name}}"

[routes."local/*"]
providers = ["local", "named"]
"""
SCHEMA: Final = {
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "properties": {
                    "key": {"type": "string", "x-cog-secret": True, "format": "password"},
                    "text": {"type": "string"},
                    "file": {"type": "string", "format": "uri"},
                },
            },
            "Output": {"type": "string"},
        }
    }
}
JOB: Final = """
[create]
path = "/models/acme/good/predictions"
body = { input = "{input}" }
id = "/id"

[poll]
path = "/predictions/{id}"

[answer]
status = "/status"
output = "/output"
logs = "/logs"
error = "/error"

[status]
running = ["starting"]
succeeded = ["succeeded"]
failed = ["failed"]

[models."tasks/good"]
output = "text"
input = { text = {} }
"""
MODEL: Final = (
    "from cog import BaseRunner\n\n\nclass Runner(BaseRunner):\n    def run(self) -> str:\n        return 'done'\n"
)


class Gossip(StandIn):
    """A service that repeats the token in whatever it says: the text of the input names what it does."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.secrets: list[str] = []

    def handle(self, handler: BaseHTTPRequestHandler, request: Seen) -> None:
        token = request.headers.get("authorization", "")
        tale = f"x{'y' * 470} you sent {token} to {self.url}{request.path}?signature={token}"
        parts = request.path.partition("?")[0].strip("/").split("/")[1:]
        if request.method == "POST" and parts[-1] == "predictions":
            self._create(handler, request, token, tale)
        elif parts[0] == "predictions" and len(parts) == 2:
            self._read(handler, parts[1], token, tale)
        elif parts == ["models", "acme", "good"]:
            send(handler, 200, {"owner": "acme", "name": "good", "description": "", "is_official": True})
        else:
            send(handler, 500 if parts[0] in ("models", "predictions") else 400, {"detail": tale})

    def _create(self, handler: BaseHTTPRequestHandler, request: Seen, token: str, tale: str) -> None:
        given = json.loads(request.body)["input"]
        self.secrets.append(given.get("key", ""))
        if given.get("text") == "refused":
            send(handler, 401, {"detail": tale, "error": {"message": tale}})
        elif given.get("text") == "lost":
            send(handler, 502, f"<html>{tale}</html>".encode(), "text/html")
        else:
            run = f"run{len(self.texts)}-"
            self.texts[run] = given.get("text", "")
            send(handler, 201, {"id": run, "status": "starting", "input": given})

    def _read(self, handler: BaseHTTPRequestHandler, run: str, token: str, tale: str) -> None:
        reads = sum(request.path.endswith(run) for request in self.seen)
        if reads == 1:
            send(handler, 200, f"<html>{tale}</html>".encode(), "text/html")
        elif self.texts[run] == "failed":
            send(handler, 200, {"id": run, "status": "failed", "error": f"{tale} {token}", "logs": f"> {token}\n"})
        else:
            send(handler, 200, {"id": run, "status": "succeeded", "output": "done", "logs": f"> {token}\n"})


@pytest.fixture
def gossip() -> Iterator[Gossip]:
    with Gossip() as service:
        yield service


def make(halley: Halley, model: str, **given: str) -> str:
    status, _, row = halley.call("POST", f"/v1/models/{model}/predictions", {"input": given})
    assert status == 201, row
    return str(row["id"])


def ended(halley: Halley, prediction: str) -> dict[str, Any]:
    until(lambda: "completed_at" in halley.call("GET", f"/v1/predictions/{prediction}")[2], halley)
    return dict(halley.call("GET", f"/v1/predictions/{prediction}")[2])


def until(is_so: Callable[[], bool], halley: Halley) -> None:
    for _ in range(400):
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError(halley.log())


def test_no_token_and_no_secret_is_written_or_shown(gossip: Gossip, tmp_path: Path) -> None:
    token_file, schema, model = tmp_path / "token", tmp_path / "schema.json", tmp_path / "model"
    (tmp_path / "tasks.toml").write_text(JOB)
    token_file.write_text(TOKENS["file"])
    schema.write_text(json.dumps(SCHEMA))
    model.mkdir()
    (model / "run.py").write_text(MODEL)
    config = CONFIG.format(url=gossip.url, token_file=token_file, schema=schema, job=tmp_path / "tasks.toml")
    environment = {"NAMED_API_KEY": TOKENS["variable"], "GPU_TOKEN": TOKENS["cog"], "TASKS_TOKEN": TOKENS["job"]}
    tokens = [*TOKENS.values(), TOKENS["file"][:15]]
    with Halley(tmp_path, "--no-demo", str(model), config=config, environment=environment) as halley:
        texts = ("ok", "refused", "lost", "failed")
        made = [make(halley, f"{which}/good", text=text) for which in ("named", "filed", "tasks") for text in texts]
        made.append(make(halley, "named/good", text="refused", key=SECRET))
        made.append(make(halley, "named/good", key=SECRET, file="data:text/plain;base64," + "QUJD" * 100))
        made += [make(halley, "local/model"), make(halley, "named/good", text=PLANTED)]
        for name in ("named/unknown", "gpu/good"):
            status, _, problem = halley.call("POST", f"/v1/models/{name}/predictions", {"input": {}})
            assert status == 503
            assert MARK not in str(problem)
        found = [ended(halley, one)["status"] for one in made]
        assert found == [*["succeeded", "failed", "failed", "failed"] * 3, "failed", "failed", "succeeded", "succeeded"]
        token_file.write_text(TOKENS["rotated"])
        assert halley.process is not None
        halley.process.send_signal(signal.SIGHUP)
        until(lambda: "its token was replaced" in halley.log(), halley)
        made.append(make(halley, "filed/good", text="failed"))
        ended(halley, made[-1])
        sent = {request.headers.get("authorization") for request in gossip.seen}
        assert sent == {f"Bearer {token}" for token in TOKENS.values()}
        assert SECRET in gossip.secrets
        paths = [f"/v1/predictions/{one}{more}" for one in made for more in ("", "/events")]
        searched = Searched(halley, "/v1/settings", *paths, environment=environment)
    assert searched.has_children
    assert searched.places_with(*tokens) == []
    # it waited in the database: the log of writes keeps it until it is written over, or until a stop
    assert searched.places_with(SECRET) in ([], ["halley.db-wal"])
    planted = searched.places_with(PLANTED)
    assert any(place.startswith("halley.db") for place in planted)
    assert sum(place.startswith("/v1/predictions/") for place in planted) == 1
    assert files_with(tmp_path / "data", [*tokens, SECRET]) == []
    assert files_with(tmp_path / "data", [PLANTED]) == ["halley.db"]
