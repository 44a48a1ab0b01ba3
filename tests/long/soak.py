"""Many rounds of everything against one real server before another: what grows although all work is over.

scripts/faults soak [--rounds N] [--warm N] [--minutes N]

Each round runs predictions on demo models, through another Halley, a Cog server and a task service, cancels them in
every state, opens and cuts streams, signs in, makes grids, bulk actions and searches, and changes routes with SIGHUP.
Periods are seconds, so that data, files, deliveries and keys of creates are removed meanwhile. Before the first
counted round and after the last one it waits until both servers are at rest, and prints what both hold: by /proc, in
the database, on the disk, and in memory. What is kept on purpose is named in KEPT, and the limited caches in CACHES: it
ends with 1 if anything else has grown with the rounds, if no round was counted, or if the log has an error.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from job_standins import TOKEN, VideosStandIn
from receiver import Arrived, Receiver

from fault.counted_server import Counted, Counts, rest
from fault.plain_browser import Browser
from halley.testing.cog.models import Running, document, wait
from halley.testing.cog.server import FakeCog
from halley.testing.cog.threads import ThreadedCogs

JOBS: Final = Path(__file__).resolve().parents[2] / "examples/jobs/videos.toml"
BRIEF: Final = """
[retention]
api = "1s"
web = "1s"
[limits]
file_life_seconds = 2
idempotency_seconds = 2
[webhooks]
log_seconds = 2
retry_first_seconds = 0.1
retry_for_seconds = 0.5
"""
PROVIDERS: Final = """
[providers.back]
kind = "replicate"
profile = "halley"
url = "{back}/v1"
token_env = "BACK_TOKEN"
max_submits_per_day = 1000000
[providers.gpu]
kind = "cog"
url = "{cog}"
[providers.videos]
kind = "http-job"
url = "{videos}/v1"
file = "videos.toml"
token_env = "TASKS_KEY"
[providers.nowhere]
kind = "replicate"
url = "http://127.0.0.1:9/v1"
token_env = "BACK_TOKEN"
[routes."far/*"]
providers = ["nowhere", "back"]
model = "demo/{{name}}"
[routes."acme/painter"]
providers = ["gpu"]
[routes."openai/*"]
providers = ["videos"]
"""
ROUTE: Final = '[routes."round{0}/*"]\nproviders = ["back"]\nmodel = "demo/{{name}}"\n'
KEPT: Final = {
    "rows of predictions": "a record of each stays, without its data",
    "rows of events": "its lasting events, too",
    "rows of tags": "its tags, too",
    "rows of reruns": "which prediction runs which one again",
    "rows of settlements": "which prediction settles which one",
    "rows of repeated_creates": "how often a create was repeated",
    "rows of submits": "24 hours, for the number that a provider may get",
    "rows of bulk_actions": "30 days",
    "rows of bulk_items": "as long as their action",
    "rows of keys": "a revoked key is still named by its predictions",
    "rows of accounts": "for ever",
    "rows of sign_ins": "12 hours",
    "objects: halley.store.ages._Mark": "at most 4,000",
    "objects: halley.api.repeats.CreateAttempt": "at most 2,048 that were dropped",
    "objects: halley.api.presentation.cache.CachedResponse": "a cache of a limited size",
    "objects: halley.api.presentation.usual._Frame": "at most 256",
}
CACHES: Final = {  # containers, and their limits
    "items: halley.api.presentation.cache.AnswerCache._keys": "as many as answers, which are limited to 48 MiB",
    "items: halley.api.presentation.cache.AnswerCache._kept": "48 MiB",
    "items: halley.api.presentation.listed.ListedItems._kept": "8 MiB",
    "items: halley.api.repeats.Repeats._drops": "2,048",
    "items: halley.api.repeats.Repeats._dropped": "2,048",
    "items: halley.api.shortcut.Asker.headers": "the headers of one request for each open connection",
    "items: halley.dispatch.durations.Durations._kept": "the last 256 of each service",
    "items: halley.predictions.progress.Progress._logs": "a running prediction, or a minute and 48 MiB in its cache",
    "items: halley.predictions.progress_cache.ProgressCache._kept": "a minute and 48 MiB",
    "items: halley.store.ages.Ages._marks": "4,000",
    "items: halley.store.sqlite.queue_counters.QueueCounters._weights": "one number for each account, for ever",
    "items: halley.store.sqlite.recent.RecentRows._rows": "a limited number of bytes",
}
ENDED: Final = ("succeeded", "failed", "canceled", "aborted")


async def paint(run: Running) -> Any:
    """One file, or a run without end."""
    if run.input["text"] == "wait":
        await wait(run)
    await asyncio.sleep(0.05)
    run.yields("data:image/png;base64,iVBORw0KGgo=")
    return list(run.output)


class Rounds:
    """What one round does. Each method is one thing, and leaves nothing behind that is not over soon."""

    def __init__(self, front: Counted, config: str, hook: str) -> None:
        self.front = front
        self.config = config
        self.hook = hook

    def run(self, number: int) -> None:
        self.reload(number)
        ids = list(self.predictions(number))
        browser = Browser(self.front, self.front.key)
        self.pages(browser, ids[0], number)
        self.streams(browser, ids)
        self.cancels()
        self.bulk(number)
        self.keys(number)
        self.upload()
        self.wait(ids)

    def create(self, model: str, given: dict[str, Any], **more: Any) -> str:
        headers = {"Idempotency-Key": more.pop("once")} if "once" in more else {}
        if "prefer" in more:
            headers["Prefer"] = more.pop("prefer")
        body = {"input": given, **more}
        status, _, made = self.front.call("POST", f"/v1/models/{model}/predictions", body, headers=headers)
        assert status in (201, 202), (model, made)
        return str(made["id"])

    def predictions(self, number: int) -> Iterator[str]:
        small = {"prompt": f"sea {number}", "width": 64, "height": 64}
        yield self.create("demo/paint", small, once=f"round-{number}", tags=[f"round-{number}"])
        yield self.create("far/paint", small, webhook=self.hook)
        yield self.create(f"round{number % 4}/echo", {"text": f"text {number}"})
        yield self.create("far/text", {"prompt": "tell me"}, webhook=self.hook, webhook_events_filter=["completed"])
        yield self.create("acme/painter", {"text": "a house"}, webhook=self.hook)
        yield self.create("openai/sora-2", {"prompt": f"a crab {number}"})
        yield self.create("demo/fail", {"how": "exception"} if number % 2 else {}, webhook=self.hook)
        yield self.create("demo/text", {"prompt": "tell me more"}, prefer="wait=5")

    def pages(self, browser: Browser, one: str, number: int) -> None:
        for path in ("", "/models", "/predictions", "/errors", "/replicas", "/upstreams", "/routes", "/webhooks"):
            browser.see(f"/ui{path}")
        for path in ("/files", "/keys", "/settings", "/me", "/gallery?model=demo/paint", "/models/demo/paint"):
            browser.see(f"/ui{path}")
        for tab in ("output", "input", "logs", "timeline", "webhooks", "assets", "request", "json"):
            browser.see(f"/ui/predictions/{one}?tab={tab}", 410)
        for query in (f"error=word{number}", f"tag=round-{number}", f"model=*{number}*", "status=failed"):
            browser.see(f"/ui/predictions?{query}")
        assert browser.post("/ui/predictions/views", {"name": f"view {number}", "query": f"tag=round-{number}"}) == 303
        grid = {"model": "demo/echo", "input": '{"text": "x"}', "x": "text", "x_values": "a\nb", "do": "run"}
        assert browser.post("/ui/grid", {**grid, "grid": f"grid-{number:016x}"}) == 303
        assert browser.post("/ui/models/demo/echo", {"input.text": f"by hand {number}", "do": "run"}) in (200, 303, 404)
        assert browser.post("/ui/sign-out", {"everywhere": "1"} if number % 5 == 0 else {}) == 303
        fresh = Browser(self.front, self.front.key)
        lines = [fresh.open(f"/ui/live?topic={topic}") for topic in ("predictions", "replicas", f"prediction:{one}")]
        for line in lines:
            line.close()

    def streams(self, browser: Browser, ids: list[str]) -> None:
        key = {"Authorization": f"Bearer {self.front.key}"}
        for path in [f"/v1/predictions/{one}/events" for one in ids] + ["/v1/webhooks/listen"]:
            line = HTTPConnection("127.0.0.1", self.front.port, timeout=10)
            line.request("GET", path, headers=key)
            line.getresponse().read(20) if "events" in path else line.getresponse()
            line.close()
        for one in ids:
            row = self.front.call("GET", f"/v1/predictions/{one}")[2]
            if link := row["urls"].get("stream"):
                browser.open(link.removeprefix(self.front.url)).close()

    def cancels(self) -> None:
        made = [self.create(model, {"seconds": 60}) for model in 4 * ["demo/sleep"] + 2 * ["far/sleep"]]
        made += [self.create("acme/painter", {"text": "wait"}) for _ in range(2)]
        self.front.call("POST", f"/v1/predictions/{made[0]}/cancel")
        time.sleep(0.5)
        for one in made:
            assert self.front.call("POST", f"/v1/predictions/{one}/cancel")[0] == 200
        left = socket.create_connection(("127.0.0.1", self.front.port))  # a client that leaves while it waits
        body = b'{"input": {"seconds": 1}}'
        lines = (
            *("POST /v1/models/demo/sleep/predictions HTTP/1.1", "host: x", f"authorization: Bearer {self.front.key}"),
            *("prefer: wait=30, cancel-abandoned", "content-type: application/json", f"content-length: {len(body)}"),
        )
        head = "".join(f"{line}\r\n" for line in lines)
        left.sendall(head.encode() + b"\r\n" + body)
        time.sleep(0.1)
        left.close()
        self.wait(made)

    def bulk(self, number: int) -> None:
        self.create("demo/echo", {"text": "again"}, tags=[f"bulk-{number}"], prefer="wait=10")
        chosen = {"tag": f"bulk-{number}"}
        for action in ("rerun", "cancel", "delete-data"):
            body = {"action": action, "filter": chosen}
            assert self.front.call("POST", "/v1/bulk-actions/preview", body)[0] == 200
            assert self.front.call("POST", "/v1/bulk-actions", body)[0] == 201
        self.front.call("GET", "/v1/errors?since=1h")
        self.front.call("GET", f"/v1/predictions?error=nothing{number}")
        self.front.call("GET", f"/v1/search?query=paint{number}")

    def keys(self, number: int) -> None:
        _, _, made = self.front.call("POST", "/v1/keys", {"username": f"user{number}", "name": "soak"})
        Browser(self.front, made["token"])
        self.front.call("POST", "/v1/models/demo/echo/predictions", {"input": {"text": "x"}}, key=made["token"])
        self.front.call("GET", "/v1/predictions", key=made["token"])
        assert self.front.call("DELETE", f"/v1/keys/{made['id']}")[0] == 204
        assert self.front.call("GET", "/v1/predictions", key=made["token"])[0] == 401
        assert self.front.call("GET", "/v1/predictions", key=f"hly_wrong{number}")[0] == 401

    def upload(self) -> None:
        part = b'--b\r\nContent-Disposition: form-data; name="content"; filename="x.txt"\r\n\r\nx\r\n--b--\r\n'
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        assert self.front.call("POST", "/v1/files", part, headers=kind)[0] == 201

    def reload(self, number: int) -> None:
        (self.front.home / "halley.toml").write_text(self.config + ROUTE.format(number % 4))
        os.kill(self.front.pid, signal.SIGHUP)
        for _ in range(200):
            if self.front.call("GET", f"/v1/routes/round{number % 4}/echo")[2].get("provider") or any(
                f"round{number % 4}/" in json.dumps(one) for one in self.front.call("GET", "/v1/routes")[2]["results"]
            ):
                return
            time.sleep(0.05)
        raise AssertionError("the routes were not read again")

    def wait(self, ids: list[str]) -> None:
        for one in ids:
            for _ in range(600):
                row = self.front.call("GET", f"/v1/predictions/{one}")[2]
                if row["status"] in ENDED:
                    break
                time.sleep(0.05)
            else:
                raise AssertionError(f"{row}\n{self.front.log()}")


def grown(before: Counts, after: Counts, rounds: int) -> Iterator[tuple[str, int, int]]:
    """What is more by at least half of the rounds, and by 5; memory is shown, but allocators keep it."""
    for name in sorted({*before, *after}):
        was, now = before.get(name, 0), after.get(name, 0)
        if now - was >= max(rounds // 2, 5) and name not in KEPT and name not in CACHES and name != "PSS in kB":
            yield name, was, now


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--warm", type=int, default=4, help="rounds before the first count")
    parser.add_argument("--minutes", type=float, default=30.0, help="no round begins after that")
    chosen = parser.parse_args()
    if chosen.rounds < 1 or chosen.warm < 0:
        print("Nothing can be counted: --rounds has to be at least 1, and --warm at least 0.")
        return 1
    with ExitStack() as stack:
        return soak(stack, chosen)


def soak(stack: ExitStack, chosen: argparse.Namespace) -> int:
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="halley-soak-")))
    for name in ("back", "front"):
        (home / name).mkdir()
    (home / "front/videos.toml").write_text(JOBS.read_text().replace("first_seconds = ", "first_seconds = 0.1 #"))
    cog = FakeCog(paint, document({"type": "array", "items": {"type": "string", "format": "uri"}}, has_stream=False))
    stack.enter_context(ThreadedCogs(cog))
    videos = stack.enter_context(VideosStandIn())
    videos.states = lambda _: [{"status": "in_progress", "progress": 15}, {"status": "completed", "progress": 100}]
    videos.contents = SameVideo()
    hook = stack.enter_context(Receiver(answer))
    back = stack.enter_context(Counted(home / "back", config=BRIEF))
    config = BRIEF + PROVIDERS.format(back=back.url, cog=cog.url, videos=videos.url)
    tokens = {"BACK_TOKEN": back.account("front"), "TASKS_KEY": TOKEN}
    front = stack.enter_context(Counted(home / "front", config=config, environment=tokens))
    rounds = Rounds(front, config, hook.url)
    servers, end = {"front": front, "back": back}, time.monotonic() + chosen.minutes * 60
    before: dict[str, Counts] = {}
    done = 0
    for number in range(chosen.warm + chosen.rounds):
        if number == chosen.warm:
            before = settled(servers)
        if time.monotonic() > end:
            break
        began = time.monotonic()
        rounds.run(number)
        done = number + 1 - chosen.warm
        print(f"round {number}: {time.monotonic() - began:.1f} s", flush=True)
    if done < 1:
        print(f"No round was counted: the {chosen.minutes:g} minutes were over before. Give it more --minutes.")
        return 1
    after = settled(servers)
    return report(before, after, done, list(servers.values()))


def settled(servers: dict[str, Counted]) -> dict[str, Counts]:
    for server in servers.values():
        rest(server)
    return {name: server.count() for name, server in servers.items()}


def report(before: dict[str, Counts], after: dict[str, Counts], rounds: int, servers: list[Counted]) -> int:
    is_bad = False
    for name, counts in after.items():
        kept = [one for one in counts if not one.startswith(("objects: ", "items: ", "tasks: "))]
        for one in kept:
            print(f"{name:6}{one:32}{before[name].get(one, 0):>9}{counts[one]:>9}  {KEPT.get(one, '')}")
        for one, was, now in grown(before[name], counts, rounds):
            print(f"GROWS {name}: {one}: {was} -> {now} in {rounds} rounds")
            is_bad = True
    for server in servers:
        text = server.output.read_text(errors="replace")
        for line in re.findall(r"(?m)^.*(?:Traceback|never awaited|was never retrieved|ERROR).*$", text)[:20]:
            print(f"LOG {server.home.name}: {line[:300]}")
            is_bad = True
    return 1 if is_bad else 0


class SameVideo(dict[str, bytes]):
    """The same video for each run."""

    def __missing__(self, _: str) -> bytes:
        return b"\x00\x00\x00\x18ftypmp42"


def answer(message: Arrived) -> int:
    """Refuse each third message, and be slow with some."""
    if message.number % 7 == 0:
        threading.Event().wait(0.2)
    return 500 if message.number % 3 == 0 else 200


if __name__ == "__main__":
    sys.exit(main())
