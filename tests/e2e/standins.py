"""Servers on loopback that answer as Replicate and CometAPI document it: enough for a client to live with."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TOKEN = "r8_stand-in"
CREATED_AT = "2026-03-12T11:27:18.258Z"


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Delivered:
    """A file behind a delivery URL: how often it may be had, and where its first transfer breaks."""

    name: str
    data: bytes
    content_type: str = "image/png"
    serves: int = 99
    cut_at: int | None = None  # the connection ends there, once
    hold_at: int | None = None  # bytes stop there, once, until `release` is set
    etag: bool = True
    release: threading.Event = field(default_factory=threading.Event)
    holding: threading.Event = field(default_factory=threading.Event)


class StandIn:
    """A threaded server; subclasses answer `handle`."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.files: dict[str, Delivered] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {key.lower(): value for key, value in self.headers.items()}
                request = Seen(self.command, self.path, headers, body)
                outer.seen.append(request)
                try:
                    if self.path.startswith("/delivery/"):
                        outer.deliver(self, request)
                    else:
                        outer.handle(self, request)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_POST = do_DELETE = do_PUT = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def handle(self, handler: BaseHTTPRequestHandler, request: Seen) -> None:
        raise NotImplementedError

    def asked(self, start: str) -> list[Seen]:
        return [request for request in self.seen if request.path.startswith(start)]

    def put(self, link: str, file: Delivered) -> str:
        self.files[link] = file
        return f"{self.url}/delivery/{link}/{file.name}"

    def deliver(self, handler: BaseHTTPRequestHandler, request: Seen) -> None:
        file = self.files.get(request.path.split("/")[2])
        if file is None or file.serves < 1:
            send(handler, 404, b"gone", "text/plain")
            return
        etag = f'"{hashlib.md5(file.data).hexdigest()}"'
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if asked and request.headers.get("if-range") == etag:
            start = int(asked[1])
        cut, hold = file.cut_at, file.hold_at
        file.cut_at = file.hold_at = None
        if cut is None and hold is None:
            file.serves -= 1
        handler.send_response(206 if start else 200)
        handler.send_header("content-type", file.content_type)
        handler.send_header("content-length", str(len(file.data) - start))
        if file.etag:
            handler.send_header("etag", etag)
        if start:
            handler.send_header("content-range", f"bytes {start}-{len(file.data) - 1}/{len(file.data)}")
        handler.end_headers()
        stop = cut if cut is not None else hold if hold is not None else len(file.data)
        handler.wfile.write(file.data[start:stop])
        handler.wfile.flush()
        if cut is not None:
            handler.close_connection = True
            handler.connection.close()
        elif hold is not None:
            file.holding.set()
            file.release.wait()
            handler.close_connection = True


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: Any,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("content-type", content_type)
    handler.send_header("content-length", str(len(data)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


class ReplicateStandIn(StandIn):
    """Replicate's shapes: problems, cursors, official and versioned models; `Prefer: wait` on GET is ignored."""

    prefix = "/v1"

    def __init__(self) -> None:
        super().__init__()
        self.predictions: dict[str, list[dict[str, Any]]] = {}  # each read steps on to the next state
        self.throttle = 0  # so many requests get 429 first
        self.takes_files = True
        self.made = 0
        self.on_create: Callable[[dict[str, Any]], list[dict[str, Any]]] | None = None

    def states(self, id: str, *later: dict[str, Any], **members: Any) -> list[dict[str, Any]]:
        """Build the life of a prediction from `starting` through the given changes."""
        base = f"{self.url}{self.prefix}/predictions/{id}"
        first = {
            "id": id,
            "model": "acme/painter",
            "version": "hidden",
            "input": {"prompt": "x"},
            "logs": "",
            "output": None,
            "data_removed": False,
            "error": None,
            "status": "starting",
            "created_at": CREATED_AT,
            "urls": {"get": base, "cancel": f"{base}/cancel", "web": f"{self.url}/p/{id}"},
            **members,
        }
        states = [first]
        for change in later:
            states.append({**states[-1], **change})
        return states

    def handle(self, handler: BaseHTTPRequestHandler, request: Seen) -> None:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            problem = {"title": "Unauthenticated", "detail": "You did not pass a valid token", "status": 401}
            send(handler, 401, problem, "application/problem+json")
        elif self.throttle:
            self.throttle -= 1
            body = {"detail": "Request was throttled. Your rate limit resets in ~7s.", "status": 429, "retry_after": 7}
            send(handler, 429, body, headers={"retry-after": "7"})
        else:
            self._route(handler, request)

    def _route(self, handler: BaseHTTPRequestHandler, request: Seen) -> None:
        path = request.path.removeprefix(self.prefix)
        match (request.method, path.partition("?")[0].strip("/").split("/")):
            case ("POST", ["models", "acme", "painter", "predictions"]) | ("POST", ["predictions"]):
                self._create(handler, request)
            case ("GET", ["predictions"]):
                self._list(handler, path)
            case ("GET", ["predictions", id]) if id in self.predictions:
                states = self.predictions[id]
                send(handler, 200, states.pop(0) if len(states) > 1 else states[0])
            case ("POST", ["predictions", id, "cancel"]) if id in self.predictions:
                state = {**self.predictions[id][0], "status": "canceled", "metrics": {"total_time": 0.1}}
                self.predictions[id] = [state]
                send(handler, 200, state)
            case ("GET", ["models", "acme", "painter" | "community" as name]):
                send(handler, 200, {"owner": "acme", "name": name, "latest_version": painter_version()})
            case ("POST", ["files"]) if self.takes_files:
                send(handler, 201, {"id": "f1", "urls": {"get": f"{self.url}{self.prefix}/files/f1"}})
            case _:
                send(handler, 404, {"detail": "The requested resource could not be found.", "status": 404})

    def _create(self, handler: BaseHTTPRequestHandler, request: Seen) -> None:
        body = json.loads(request.body)
        if "prompt" not in body["input"]:
            fields = [{"type": "required", "field": "input", "description": "prompt is required"}]
            detail = {"title": "Input validation failed", "detail": "- input: prompt is required\n", "status": 422}
            send(handler, 422, {**detail, "invalid_fields": fields}, "application/problem+json")
            return
        self.made += 1
        made = f"made{self.made:022d}"
        states = self.states(made, {"status": "succeeded", "output": "done"}, input=body["input"])
        self.predictions[made] = self.on_create(states[0]) if self.on_create else states
        send(handler, 201, self.predictions[made].pop(0))

    def _list(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        ids = sorted(self.predictions)
        at = int(match[1]) if (match := re.search(r"cursor=(\d+)", path)) else 0
        following = f"{self.url}{self.prefix}/predictions?cursor={at + 2}" if at + 2 < len(ids) else None
        results = [self.predictions[key][0] for key in ids[at : at + 2]]
        send(handler, 200, {"next": following, "previous": None, "results": results})


class CometStandIn(ReplicateStandIn):
    """CometAPI's differences: its prefix, error envelope, `dp-` versions, no web page, null times, slow answers."""

    prefix = "/replicate/v1"

    def __init__(self) -> None:
        super().__init__()
        self.stalls = 0  # so many reads get no answer until `awake` is set
        self.awake = threading.Event()
        self.takes_files = False

    def states(self, id: str, *later: dict[str, Any], **members: Any) -> list[dict[str, Any]]:
        urls = dict.fromkeys(("get", "cancel", "stream"), f"https://api.replicate.com/v1/predictions/{id}")
        fresh = {"version": "dp-0f3c", "urls": urls, "started_at": None, "completed_at": None, **members}
        return super().states(id, *later, **fresh)

    def handle(self, handler: BaseHTTPRequestHandler, request: Seen) -> None:
        if not request.path.startswith(self.prefix):
            send(handler, 200, b"<!doctype html><title>CometAPI</title>", "text/html")
        elif request.headers.get("authorization") != f"Bearer {TOKEN}":
            error = {
                "code": "invalid_api_key",
                "message": "Invalid token (request id: 2026)",
                "type": "comet_api_error",
            }
            send(handler, 401, {"error": error})
        elif self.stalls and request.method == "GET" and "/predictions/" in request.path:
            self.stalls -= 1
            self.awake.wait()
            handler.close_connection = True
        elif request.method == "POST" and request.path.endswith("/predictions") and b"prompt" not in request.body:
            error = {
                "code": "invalid_request",
                "message": "prompt is missing",
                "type": "comet_api_error",
                "param": "input",
            }
            send(handler, 500, {"error": error})
        else:
            self._route(handler, request)

    def __exit__(self, *_: object) -> None:
        self.awake.set()
        super().__exit__()


def painter_version() -> dict[str, Any]:
    properties = {
        "prompt": {"type": "string", "x-order": 0},
        "width": {"type": "integer", "x-order": 1},
        "image": {"type": "string", "format": "uri", "x-order": 2},
    }
    schemas = {
        "Input": {"type": "object", "required": ["prompt"], "properties": properties},
        "Output": {"type": "array", "items": {"type": "string", "format": "uri"}},
    }
    return {"id": "a" * 64, "openapi_schema": {"components": {"schemas": schemas}}}
