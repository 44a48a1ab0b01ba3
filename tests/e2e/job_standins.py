"""Stand-ins for services with tasks of their own: the shapes that examples/jobs describe, on loopback.

None is the real service: each answers only what the public pages of such services show.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from standins import Seen, StandIn, send

TOKEN = "sk-stand-in-of-a-task-service"
Answer = Callable[[BaseHTTPRequestHandler], None]


class TaskStandIn(StandIn):
    """Counts runs. `plan` replaces the next answers to a kind of request: create, poll, content, cancel, list."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, deque[dict[str, Any]]] = {}  # each read steps on to the next state
        self.given: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.states: Callable[[str], list[dict[str, Any]]] = lambda _: []
        self._planned: dict[str, deque[Answer]] = {}

    def plan(self, kind: str, *answers: Answer) -> None:
        self._planned.setdefault(kind, deque()).extend(answers)

    def handle(self, handler: BaseHTTPRequestHandler, request: Seen) -> None:
        if self.token_of(request) != TOKEN:
            send(handler, 401, {"error": {"message": "invalid token"}})
            return
        kind, run = self.kind_of(request)
        if self._planned.get(kind):
            self._planned[kind].popleft()(handler)
        elif kind not in {"create", "list"} and run not in self.runs:
            send(handler, 404, {"error": {"message": f"there is no {run}"}})
        else:
            getattr(self, kind)(handler, request, run)

    def token_of(self, request: Seen) -> str:
        return request.headers.get("authorization", "").removeprefix("Bearer ")

    def kind_of(self, request: Seen) -> tuple[str, str]:
        raise NotImplementedError

    def begin(self, given: dict[str, Any]) -> str:
        run = f"task_{len(self.given) + 1}"
        self.given[run] = given
        self.runs[run] = deque(self.states(run))
        return run

    def state(self, run: str) -> dict[str, Any]:
        states = self.runs[run]
        return states.popleft() if len(states) > 1 else states[0]


class VideosStandIn(TaskStandIn):
    """A stand-in for services with `/v1/videos`: a form, a progress in percent, a content route."""

    def kind_of(self, request: Seen) -> tuple[str, str]:
        parts = request.path.removeprefix("/v1/videos").strip("/").split("/")
        if request.method == "POST":
            return "create", ""
        kind = {"DELETE": "cancel"}.get(request.method, "content" if parts[1:] else "poll")
        return kind, parts[0]

    def create(self, handler: BaseHTTPRequestHandler, request: Seen, _: str) -> None:
        fields = dict(form_fields(request))
        if not fields.get("prompt"):
            send(handler, 400, {"error": {"message": "prompt is missing", "code": "invalid_request"}})
            return
        run = self.begin(fields)
        send(handler, 200, {"id": run, "object": "video", "status": "queued", "progress": 0})

    def poll(self, handler: BaseHTTPRequestHandler, _: Seen, run: str) -> None:
        send(handler, 200, {"id": run, "object": "video", **self.state(run)})

    def content(self, handler: BaseHTTPRequestHandler, _: Seen, run: str) -> None:
        send(handler, 200, self.contents[run], "video/mp4")

    def cancel(self, handler: BaseHTTPRequestHandler, _: Seen, run: str) -> None:
        del self.runs[run]
        send(handler, 200, {"id": run, "object": "video.deleted", "deleted": True})


class PicturesStandIn(TaskStandIn):
    """A stand-in for the picture tasks of gateways: a code in the answer, the progress as a text, a link."""

    def token_of(self, request: Seen) -> str:
        return request.headers.get("mj-api-secret", "")

    def kind_of(self, request: Seen) -> tuple[str, str]:
        if request.path in ("/mj/submit/imagine", "/mj/task/list-by-condition"):
            return ("create" if "submit" in request.path else "list"), ""
        _, _, _, run, kind = request.path.split("/")
        return {"fetch": "poll"}.get(kind, kind), run

    def create(self, handler: BaseHTTPRequestHandler, request: Seen, _: str) -> None:
        run = self.begin(json.loads(request.body))
        send(handler, 200, {"code": 1, "description": "Submit success", "result": run})

    def poll(self, handler: BaseHTTPRequestHandler, _: Seen, run: str) -> None:
        send(handler, 200, {"id": run, "action": "IMAGINE", "state": self.given[run]["state"], **self.state(run)})

    def cancel(self, handler: BaseHTTPRequestHandler, _: Seen, run: str) -> None:
        self.runs[run] = deque([{"status": "CANCEL", "progress": "0%"}])
        send(handler, 200, {"code": 1})

    def list(self, handler: BaseHTTPRequestHandler, request: Seen, _: str) -> None:
        state = json.loads(request.body)["state"]
        found = [{"id": run, "state": state} for run, given in self.given.items() if given["state"] == state]
        send(handler, 200, found)


class MusicStandIn(TaskStandIn):
    """A stand-in for the song tasks of gateways: an envelope, several files in the answer, no cancel."""

    def kind_of(self, request: Seen) -> tuple[str, str]:
        return ("create", "") if request.method == "POST" else ("poll", request.path.rpartition("/")[2])

    def create(self, handler: BaseHTTPRequestHandler, request: Seen, _: str) -> None:
        given = json.loads(request.body)
        if "forbidden" in given["gpt_description_prompt"]:
            send(handler, 200, {"code": "invalid_request", "message": "this prompt is not allowed", "data": None})
            return
        send(handler, 200, {"code": "success", "message": "", "data": self.begin(given)})

    def poll(self, handler: BaseHTTPRequestHandler, _: Seen, run: str) -> None:
        send(handler, 200, {"code": "success", "data": {"task_id": run, **self.state(run)}})


class QueueStandIn(TaskStandIn):
    """A stand-in for queues in the manner of fal.ai: the result has an address of its own, a cancel is a PUT."""

    APP = "/fal-ai/flux/dev"
    left = "12.50"

    def token_of(self, request: Seen) -> str:
        return request.headers.get("authorization", "").removeprefix("Key ")

    def kind_of(self, request: Seen) -> tuple[str, str]:
        if request.method == "POST" and request.path == self.APP:
            return "create", ""
        if request.path == "/balance":
            return "list", ""
        run, _, last = request.path.partition("?")[0].removeprefix(f"{self.APP}/requests/").partition("/")
        return {"status": "poll", "cancel": "cancel", "": "content"}[last], run

    def create(self, handler: BaseHTTPRequestHandler, request: Seen, _: str) -> None:
        run = self.begin(json.loads(request.body))
        send(handler, 200, {"request_id": run, "status": "IN_QUEUE", "queue_position": 1})

    def poll(self, handler: BaseHTTPRequestHandler, _: Seen, run: str) -> None:
        state = self.state(run)
        send(handler, 200 if state["status"] == "COMPLETED" else 202, {"request_id": run, **state})

    def content(self, handler: BaseHTTPRequestHandler, _: Seen, run: str) -> None:
        send(handler, 200, json.loads(self.contents[run]))

    def list(self, handler: BaseHTTPRequestHandler, _: Seen, __: str) -> None:
        send(handler, 200, {"data": {"left": self.left}})

    def cancel(self, handler: BaseHTTPRequestHandler, _: Seen, run: str) -> None:
        self.runs[run] = deque([{"status": "CANCELLED"}])
        send(handler, 202, {"status": "CANCELLATION_REQUESTED"})


def form_fields(request: Seen) -> Iterator[tuple[str, Any]]:
    """The fields of a multipart form; of a file its name, type and bytes."""
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    for part in request.body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        content = content.removesuffix(b"\r\n")
        text = head.decode()
        name = re.search(r' name="([^"]*)"', text)
        file = re.search(r'filename="([^"]*)"', text)
        kind = re.search(r"content-type: (\S+)", text)
        assert name
        yield name[1], (file[1], kind[1] if kind else "", content) if file else content.decode()
