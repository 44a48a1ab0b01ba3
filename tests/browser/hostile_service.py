"""A service elsewhere whose every answer is hostile: to webhooks, to tasks of a job file, and to a Replicate client."""

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

from standins import Seen, StandIn, send

HERE: Final = Path(__file__).parent
sys.path.append(str(HERE / "models" / "hostile"))

from attempts import SHORT, all_of_them  # noqa: E402 - the model's own list

JOB: Final = "hostile/job"
MIRRORED: Final = "elsewhere/mirrored"
_RUNS: Final = "mark-upstream-id " + SHORT[0]


def job_file() -> str:
    """A job file with an attempt at every place that takes a text."""
    text, ways = json.dumps, ["done", "failed", "lost", "refused", *SHORT]
    return f"""
[create]
path = "/tasks"
id = "/id"
[create.body]
how = "{{input.how}}"
prompt = "{{input.prompt}}"
[poll]
path = "/tasks/{{id}}"
first_seconds = 0.05
changed_seconds = 0.05
longest_seconds = 1
[answer]
status = "/status"
output = "/output"
logs = "/logs"
error = "/error"
[answer.metrics]
mark-metric = "/metric"
[status]
running = ["running"]
succeeded = ["done"]
failed = ["failed"]
[models.{text(JOB)}]
description = {text(all_of_them("job-description"))}
output = "json"
[models.{text(JOB)}.input]
how = {{ choices = {text(ways)}, description = {text(all_of_them("job-input"))} }}
prompt = {{ default = {text(all_of_them("job-default"))} }}
"""


def settings(url: str, home: Path) -> str:
    """Settings that lead to the service, with attempts in their values."""
    (home / "job.toml").write_text(job_file())
    return f"""
[collections.attempts]
name = {json.dumps(all_of_them("setting"))}
description = {json.dumps(SHORT[1])}

[providers.tasks]
kind = "http-job"
url = {json.dumps(url)}
file = {json.dumps(str(home / "job.toml"))}

[providers.elsewhere]
kind = "replicate"
url = {json.dumps(url + "/v1")}

[routes."{JOB}"]
providers = ["tasks"]

[routes."elsewhere/*"]
providers = ["elsewhere"]
"""


class HostileService(StandIn):
    """Answers by the path. A header of each answer has an attempt, too."""

    def __init__(self) -> None:
        super().__init__()
        self._given: dict[str, str] = {}  # how a run ends, by its id
        self._lock = threading.Lock()

    @property
    def hook(self) -> str:
        return f"{self.url}/hook"

    def handle(self, handler: BaseHTTPRequestHandler, request: Seen) -> None:
        path = request.path.partition("?")[0]
        if path.startswith("/hook"):
            body = all_of_them("receiver").encode()
            send(handler, 500, body, "text/html", headers={"x-mark": SHORT[0], "set-cookie": f"a={SHORT[1]}"})
        elif path == "/tasks":
            self._create(handler, json.loads(request.body))
        elif path.startswith("/tasks/"):
            self._state(handler, self._given[path.split("/")[2]])
        elif path.startswith("/v1/models/") and request.method == "GET":
            send(handler, 200, mirrored())
        else:
            send(handler, 422, {"detail": all_of_them("upstream-detail"), "status": 422, "title": SHORT[2]})

    def _create(self, handler: BaseHTTPRequestHandler, task: dict[str, Any]) -> None:
        how = task["how"]
        if how == "refused":
            send(handler, 400, {"error": all_of_them("refusal")})
        elif how == "lost":
            send(handler, 500, {"error": all_of_them("lost")})
        else:
            with self._lock:
                run = f"t-{len(self._given)}"
                self._given[run] = how
            send(handler, 200, {"id": run})

    def _state(self, handler: BaseHTTPRequestHandler, how: str) -> None:
        answer = {
            "status": how if how in {"done", "failed"} else f"mark-word {how}",
            "output": {all_of_them("job-key"): all_of_them("job-output")},
            "logs": all_of_them("job-log") + "\n",
            "error": all_of_them("job-error"),
            "metric": f"mark-metric {SHORT[0]}",
        }
        send(handler, 200, answer)


def mirrored() -> dict[str, Any]:
    """A model of the service, as Replicate would show it."""
    given = {
        "type": "object",
        "title": SHORT[0],
        "properties": {
            SHORT[1]: {"type": "string", "title": SHORT[2], "description": all_of_them("mirrored"), "x-order": 0},
            "choice": {"enum": list(SHORT), "type": "string", "default": SHORT[0], "x-order": 1},
        },
    }
    schemas = {"Input": given, "Output": {"type": "string", "title": SHORT[0]}}
    owner, _, name = MIRRORED.partition("/")
    return {
        "owner": owner,
        "name": name,
        "description": all_of_them("mirrored-model"),
        "latest_version": {
            "id": "ab" * 32,
            "created_at": "2026-03-12T11:27:18.258Z",
            "openapi_schema": {"openapi": "3.0.2", "info": {"title": SHORT[0]}, "components": {"schemas": schemas}},
        },
    }


Run = Callable[..., str]


def use(run: Run) -> None:
    """Let the service answer in each way; `run` makes a prediction, by what there is to see, model and input."""
    for how in ("done", "failed", "lost", "refused"):
        run(f"job {how}", JOB, {"how": how, "prompt": all_of_them("job-prompt")})
    run("mirrored", MIRRORED, {"choice": SHORT[0]})
