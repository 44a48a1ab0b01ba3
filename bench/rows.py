"""What `scripts/bench --against` measures: each row asks one server for one thing over and over."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop
from event_rows import EVENT_ROWS
from fronts import HalleyFront
from halley_server import AUTH, PROMPT, NotServed, ask, noop_folder, settle, until
from load import Request, load
from machine import tree_cpu_seconds, wrk
from waiters import delivered

OWN_MODELS = Path(__file__).resolve().parent / "models"
MODELS = {
    "demo/noop": noop_folder(),
    "demo/text": noop_folder().with_name("text"),
    "bench/ticker": OWN_MODELS / "ticker",
    "bench/asset": OWN_MODELS / "two_megabytes.py",
    "bench/lines": OWN_MODELS / "lines.py",
}
LISTED = 120  # more than one page
FOLLOWERS = 200
WORDS_PER_SECOND = 500
UPLOAD_BYTES = 10_000
WARM_UP_SECONDS = 0.3
MAX_REFUSED = 0.01  # a stretch with more answers other than 2xx measures something else


class Floor:
    """The bare program that every rate is compared with; it knows one model, and can do the rows of its own name."""

    def __init__(self, process, port):
        self.process = process
        self.base = f"http://127.0.0.1:{port}"
        self.create_url = f"{self.base}/v1/models/demo/noop/predictions"

    def prepare(self):
        self.done = ask(self.create_url, PROMPT, ("Prefer: wait",))


class Server:
    """One side's server with what the rows need: predictions in each state, a page of them, an output file."""

    def __init__(self, name, process, port):
        self.front = HalleyFront(name, process, port)
        self.process = process
        self.base = self.front.base
        self.create_url = f"{self.base}/v1/models/demo/noop/predictions"

    def prepare(self):
        until(lambda: ask(f"{self.base}/v1/account"))
        self.asset = until(lambda: self.create_and_wait("bench/asset", {"input": {}}))  # refused until it is loaded
        until(lambda: self.create_and_wait("bench/ticker", {"input": {}}))
        until(lambda: self.create_and_wait("bench/lines", {"input": {"lines": 1}}))
        until(lambda: self.create_and_wait("demo/text", {"input": {"prompt": "The", "max_tokens": 1}}))
        until(lambda: self.create_and_wait("demo/noop", PROMPT))
        for _ in range(LISTED):
            self.done = self.create_and_wait("demo/noop", PROMPT)
        self.running = self.front.create(quiet_seconds=3000)
        until(self._check_running)

    def create_and_wait(self, model, body):
        made = ask(f"{self.base}/v1/models/{model}/predictions", body, ("Prefer: wait=25",))
        for _ in range(20):
            if made["status"] not in {"starting", "processing"}:
                break
            made = ask(f"{self.base}/v1/predictions/{made['id']}", None, ("Prefer: wait=25",))
        if made["status"] != "succeeded":
            raise NotServed(f"a prediction of {model} is {made['status']}: {made.get('error')}")
        return made

    def _check_running(self):
        now = ask(f"{self.base}/v1/predictions/{self.running['id']}")
        if now["status"] != "processing":
            raise ConnectionError(f"the prediction that should run is {now['status']}")


@dataclass(frozen=True)
class Row:
    """Requests per CPU-second of the server and all its child processes.

    `drains`: what was created is run to its end before the CPU time is read, so that both sides pay for the whole.
    `floor`: the row of the floor that this one is compared with.
    """

    title: str
    connections: int
    request: Callable[[Server], Request]
    drains: bool = False
    floor: str = "lifecycle"

    def measure(self, server, seconds, has_wrk):
        request = self.request(server)
        warm = load(request, connections=self.connections, seconds=WARM_UP_SECONDS)
        if not warm.good:
            raise NotServed(warm.failures())
        self._settle(server)
        began = tree_cpu_seconds(server.process)
        good, bad = _load(server, request, self.connections, seconds, has_wrk)
        self._settle(server)
        used = tree_cpu_seconds(server.process) - began
        if bad > MAX_REFUSED * (good + bad):
            raise NotServed(f"{bad} of {good + bad} requests were refused")
        return good / used

    def _settle(self, server):
        if self.drains:
            settle(server.create_url)


def _load(server, request, connections, seconds, has_wrk):
    if not has_wrk:
        counted = load(request, connections=connections, seconds=seconds)
        return counted.good, sum(counted.statuses.values()) - counted.good + counted.lost
    measured = wrk(
        server.process,
        request.url,
        connections=connections,
        seconds=seconds,
        headers=request.headers,
        body=request.body,
        content_type=request.content_type,
    )
    return measured["good"], measured["refused"]


@dataclass(frozen=True)
class OneClient:
    """1 s / p50 of one client: how many requests of median length fit in a second. It is no rate by CPU time."""

    title: str
    request: Callable[[Server], Request]
    floor: str

    def measure(self, server, seconds, has_wrk):
        if not has_wrk:
            raise NotServed("it needs wrk")
        asked = self.request(server)
        measured = wrk(
            server.process, asked.url, connections=1, seconds=seconds, headers=asked.headers, body=asked.body
        )
        if measured["refused"]:
            raise NotServed(f"{measured['refused']} requests were refused")
        return 1000 / measured["p50"]


@dataclass(frozen=True)
class Events:
    """Events of one running prediction, delivered to many readers of its stream, per CPU-second."""

    title: str
    floor: str = "lifecycle"

    def measure(self, server, seconds, has_wrk):
        del has_wrk  # it reads no streams
        words = WORDS_PER_SECOND * seconds
        made = server.front.create(quiet_seconds=2, words=words, per_second=WORDS_PER_SECOND)
        requests = [server.front.streamed(made)] * FOLLOWERS
        meters = [lambda: tree_cpu_seconds(server.process)]
        events, used = uvloop.run(delivered(server.front, lambda: None, requests, words, WORDS_PER_SECOND, meters))
        if events < words * FOLLOWERS:
            raise NotServed(f"{events} of {words * FOLLOWERS} events came")
        return events / used


def _get(path):
    return lambda server: Request(server.base + path(server), (AUTH,))


def _create(*headers):
    body = json.dumps(PROMPT).encode()
    return lambda server: Request(server.create_url, (AUTH, *headers), body)


def _upload(server):
    border = "halley-bench-border"
    head = f'--{border}\r\nContent-Disposition: form-data; name="content"; filename="a.bin"\r\n\r\n'
    body = head.encode() + b"x" * UPLOAD_BYTES + f"\r\n--{border}--\r\n".encode()
    return Request(f"{server.base}/v1/files", (AUTH,), body, f"multipart/form-data; boundary={border}")


ROWS = {
    "get": Row(
        "GET, terminal prediction, 64 conns", 64, _get(lambda s: f"/v1/predictions/{s.done['id']}"), floor="get"
    ),
    "get-running": Row(
        "GET, running prediction, 64 conns", 64, _get(lambda s: f"/v1/predictions/{s.running['id']}"), floor="get"
    ),
    "list": Row("list of predictions, 16 conns", 16, _get(lambda _: "/v1/predictions"), floor="get"),
    "delivery": Row("delivery of a 2 MB output, 16 conns", 16, lambda server: Request(server.asset["output"])),
    "upload": Row("upload of 10 KB, 16 conns", 16, _upload),
    "events": Events(f"events to {FOLLOWERS} readers of a stream"),
    "lifecycle": Row("no-op lifecycle, Prefer: wait, 64 conns", 64, _create("Prefer: wait")),
    "lifecycle-8": Row("no-op lifecycle, Prefer: wait, 8 conns", 8, _create("Prefer: wait"), floor="lifecycle-8"),
    "lifecycle-1": Row("no-op lifecycle, Prefer: wait, 1 conn", 1, _create("Prefer: wait"), floor="lifecycle-1"),
    "lifecycle-p50": OneClient("no-op lifecycle, 1 conn: 1 s / p50", _create("Prefer: wait"), floor="lifecycle-p50"),
    "create": Row("create, run to its end, 64 conns", 64, _create(), drains=True, floor="create"),
    **EVENT_ROWS,
}
