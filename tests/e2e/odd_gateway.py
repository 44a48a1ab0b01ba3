"""A hosted gateway that answers in odd ways. What it does with a prediction is named by the prediction's id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from e2e.standins import CREATED_AT, Seen, StandIn, send

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
PREFIX = "/replicate/v1/predictions/"
GATEWAY_PAGE = b"<html><h1>502 Bad Gateway</h1></html>"

Reading = dict[str, Any] | tuple[int, dict[str, str], Any]


class OddGateway(StandIn):
    """Answers the n-th reading of a prediction; `/a/NAME` are its files."""

    def __init__(self) -> None:
        super().__init__()
        self._server.handle_error = lambda *_: None  # a client that closes early is no fault to print
        self.readings: Counter[str] = Counter()

    def link(self, name: str) -> str:
        return f"{self.url}/a/{name}"

    def handle(self, handler: BaseHTTPRequestHandler, request: Seen) -> None:
        if request.path.startswith("/a/"):
            self._file(handler, request.path[3:])
            return
        name = request.path.removeprefix(PREFIX)
        if not request.path.startswith(PREFIX) or "/" in name:
            send(handler, 404, b"<html>404</html>", "text/html")
            return
        self.readings[name] += 1
        reading = self.answer(name, self.readings[name])
        if reading is None:
            handler.close_connection = True
            handler.connection.close()
            return
        status, headers, body = reading if isinstance(reading, tuple) else (200, {}, reading)
        kind = headers.pop("content-type", "application/json")
        send(handler, status, body, kind, headers)

    def prediction(self, id: str, status: str, output: Any = None, /, **members: Any) -> dict[str, Any]:
        made = {
            "id": id, "model": "acme/painter", "version": "hidden", "input": {"prompt": "x"}, "logs": "step 1\n",
            "output": output, "data_removed": False, "error": None, "status": status, "created_at": CREATED_AT,
            "metrics": {"predict_time": 0.5}, "urls": {"get": f"https://api.example/{id}"}, **members,
        }  # fmt: skip
        return {name: value for name, value in made.items() if value != "LEFT OUT"}

    def answer(self, name: str, number: int) -> Reading | None:
        return ANSWERS[name](self, name, number)

    def _file(self, handler: BaseHTTPRequestHandler, name: str) -> None:
        png = {"etag": '"1"'}
        match name:
            case "relative.png":
                send(handler, 302, b"", headers={"location": "one.png"})
            case "loop.png":
                send(handler, 302, b"", headers={"location": "/a/loop.png"})
            case "to-file.png":
                send(handler, 302, b"", headers={"location": "file:///etc/passwd"})
            case "to-nowhere.png":
                send(handler, 302, b"")
            case "gone.png":
                send(handler, 404, GATEWAY_PAGE, "text/html")
            case "broken.png":
                send(handler, 500, GATEWAY_PAGE, "text/html")
            case "page.png":
                send(handler, 200, b"<html>Your link has expired</html>", "text/html")
            case "busy.png":
                send(handler, 503, b"", headers={"retry-after": "30"})
            case "empty.png":
                send(handler, 200, b"", "image/png")
            case "webp.png":
                send(handler, 200, b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp", png)
            case _:
                send(handler, 200, PICTURE + name.encode(), "image/png", png)


Answers = Callable[[OddGateway, str, int], Reading | None]


def succeeded(make_output: Callable[[Callable[[str], str]], Any], **members: Any) -> Answers:
    return lambda server, name, _: server.prediction(name, "succeeded", make_output(server.link), **members)


def after(count: int, before: Answers, then: Answers) -> Answers:
    return lambda server, name, number: (before if number <= count else then)(server, name, number)


def plainly(status: int, body: Any, **headers: str) -> Answers:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda *_: (status, dict(named), body)


def status_of(word: str, **members: Any) -> Answers:
    return lambda server, name, _: server.prediction(name, word, **members)


ONE = succeeded(lambda link: [link("one.png")])
BOM = b"\xef\xbb\xbf" + json.dumps({"id": "bom", "status": "succeeded", "output": "x"}).encode()
LATIN = json.dumps({"id": "latin", "status": "failed", "error": "café"}, ensure_ascii=False).encode("latin1")

ANSWERS: dict[str, Answers] = {
    "list": succeeded(lambda link: [link("one.png"), link("two.png")]),
    "string": succeeded(lambda link: link("one.png")),
    "object": succeeded(lambda link: {"image": link("one.png"), "more": {"a/b~c": [link("two.png")]}, "text": "hi"}),
    "nested": succeeded(lambda link: [[link("one.png")], [[link("two.png")]]]),
    "with-nulls": succeeded(lambda link: [None, link("one.png"), None]),
    "number": succeeded(lambda _: 42),
    "empty-list": succeeded(lambda _: []),
    "empty-text": succeeded(lambda _: ""),
    "deep": succeeded(lambda link: _nested(link("one.png"), 60)),
    "text-pieces": succeeded(lambda _: ["The ", "site ", "https://", "example", ".com is ", "good"]),
    "text-with-link": succeeded(lambda link: ["See ", link("one.png"), " please"]),
    "text-names-link": succeeded(lambda link: f"see {link('one.png')} for more"),
    "data-urls": succeeded(lambda _: ["data:image/png;base64,iVBO\nRw0K", "data:text/plain,hi%20there", "data:x"]),
    "minimal": lambda server, name, _: {"id": name, "status": "succeeded", "output": [server.link("one.png")]},
    "other-id": succeeded(lambda link: [link("one.png")], id="another"),
    "nulls": succeeded(lambda link: [link("one.png")], urls=None, logs=None, metrics=None, input=None, model=None),
    "no-id": succeeded(lambda link: [link("one.png")], id="LEFT OUT"),
    "no-status": succeeded(lambda link: [link("one.png")], status="LEFT OUT"),
    "relative": succeeded(lambda link: [link("relative.png")]),
    "loop": succeeded(lambda link: [link("loop.png"), link("one.png")]),
    "to-file": succeeded(lambda link: [link("to-file.png"), link("one.png")]),
    "to-nowhere": succeeded(lambda link: [link("to-nowhere.png"), link("one.png")]),
    "gone": succeeded(lambda link: [link("gone.png"), link("one.png")]),
    "broken": succeeded(lambda link: [link("broken.png"), link("one.png")]),
    "bad-links": succeeded(lambda link: ["http://", "http://[::1", "https://", link("one.png")]),
    "page": succeeded(lambda link: [link("page.png")]),
    "webp": succeeded(lambda link: [link("webp.png")]),
    "empty-file": succeeded(lambda link: [link("empty.png")]),
    "no-output-ever": succeeded(lambda _: None),
    "output-left-out": succeeded(lambda _: None, output="LEFT OUT"),
    "output-late": after(3, succeeded(lambda _: None), ONE),
    "removed": succeeded(lambda _: None, data_removed=True, input={}, logs=""),
    "failed": status_of("failed", error="NSFW content detected"),
    "failed-object": status_of("failed", error={"code": "E1", "message": "boom"}),
    "canceled": status_of("canceled"),
    "aborted": status_of("aborted"),
    "queued": after(3, status_of("queued"), ONE),
    "SUCCESS": status_of("SUCCESS"),
    "no-word": status_of(""),
    "forever": status_of("processing"),
    "error-text": plainly(500, {"error": "boom"}),
    "error-object": plainly(500, {"error": {"code": "x", "message": "internal failure"}}),
    "error-bad-request": plainly(500, {"error": {"code": "invalid_request", "message": "bad id"}}),
    "error-twice": after(2, plainly(502, GATEWAY_PAGE, content_type="text/html"), ONE),
    "page-200": plainly(200, b"<!doctype html><p>Welcome", content_type="text/html"),
    "page-404": plainly(404, b"<html>nginx 404</html>", content_type="text/html"),
    "login": plainly(302, b"", location="https://gateway.example/login"),
    "nothing": plainly(200, b""),
    "null": plainly(200, b"null"),
    "cut": plainly(200, b'{"id":"x","status":"succ'),
    "bom": plainly(200, BOM),
    "latin": plainly(200, LATIN, content_type="application/json; charset=iso-8859-1"),
    "very-deep": plainly(200, b'{"id":"x","status":"succeeded","output":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "throttled": after(2, plainly(429, {"error": "slow down"}, retry_after="1"), ONE),
    "throttled-till-a-date": after(1, plainly(429, {}, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), ONE),
    "throttled-long": after(1, plainly(429, {"error": "slow down"}, retry_after="999999"), ONE),
    "no-quota": plainly(402, {"error": {"message": "quota exhausted"}}),
    "forbidden": plainly(403, {"error": {"message": "no permission"}}),
    "unknown": plainly(404, {"error": {"message": "task not found"}}),
    "drops": after(2, lambda *_: None, ONE),
    "backwards": after(
        3, lambda server, name, n: server.prediction(name, ["processing", "starting", "processing"][n - 1]), ONE
    ),
}


def _nested(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = [value]
    return value
