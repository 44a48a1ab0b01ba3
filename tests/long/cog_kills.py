"""Kills of the server before two Cog servers that cut connections: nothing begins twice, what is lost is listed."""

import argparse
import asyncio
import random
import sys
import tempfile
import threading
import time
import urllib.error
from collections import Counter
from pathlib import Path
from typing import Any

from e2e.process import Halley
from halley.testing.cog.models import TEXT, Running, document
from halley.testing.cog.server import FakeCog
from halley.testing.cog.threads import ThreadedCogs

CLIENTS = 6
CONFIG = """
[providers.gpu]
kind = "cog"
urls = ["{0}", "{1}"]
concurrency = 2
rerun_lost = {2}
retry_share = 1.0

[routes."acme/painter"]
providers = ["gpu"]
"""


async def paint(run: Running) -> Any:
    """It takes up to 0.4 s."""
    await asyncio.sleep(random.random() * 0.4)
    return run.input["text"]


def create(server: Halley, number: int, end: float) -> str:
    """The id of one prediction; the request is repeated under its key until it is answered."""
    headers = {"Idempotency-Key": f"painting-{number}"}
    while time.monotonic() < end:
        try:
            path = "/v1/models/acme/painter/predictions"
            status, _, made = server.call("POST", path, {"input": {"text": str(number)}}, headers=headers, timeout=20)
        except (OSError, urllib.error.URLError):
            status = 0
        if status in {201, 202}:
            return str(made["id"])
        time.sleep(0.1)
    raise SystemExit("a create was not answered in time")


def ended(server: Halley, prediction_id: str, end: float) -> dict[str, Any]:
    while time.monotonic() < end:
        _, _, row = server.call("GET", f"/v1/predictions/{prediction_id}")
        if row["status"] in {"succeeded", "failed", "canceled"}:
            return dict(row)
        time.sleep(0.05)
    raise SystemExit(f"{prediction_id} has no end after all the time")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--line", choices=["stream", "coglet", "bare", "old"], default="stream")
    parser.add_argument("--creates", type=int, default=300)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--rerun", action="store_true", help="lost runs are sent again: all must succeed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0, help="it fails when it takes longer")
    chosen = parser.parse_args()
    random.seed(chosen.seed)
    began, end = time.monotonic(), time.monotonic() + chosen.minutes * 60
    schema = document(TEXT, has_stream=chosen.line == "stream")
    cogs = [FakeCog(paint, schema, line=chosen.line, slots=2) for _ in range(2)]
    for cog in cogs:
        cog.cuts.extend("later" for _ in range(3))
    made: dict[int, str] = {}
    with tempfile.TemporaryDirectory(prefix="halley-cog-kills-") as home, ThreadedCogs(*cogs):
        config = CONFIG.format(*(cog.url for cog in cogs), str(chosen.rerun).lower())
        with Halley(Path(home), "--no-demo", config=config) as server:
            numbers, lock = iter(range(chosen.creates)), threading.Lock()

            def client() -> None:
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    made[number] = create(server, number, end)
                    if number % 3:
                        ended_later(server, made[number], end)

            clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
            for one in clients:
                one.start()
            for _ in range(chosen.kills):
                time.sleep(0.3 + random.random())
                server.kill()
                server.start()
            for one in clients:
                one.join()
            rows = [ended(server, one, end) for one in made.values()]
            _, _, page = server.call("GET", "/v1/upstreams/unknown?limit=100")
    return report(chosen, cogs, rows, {one["id"] for one in page["results"]}, time.monotonic() - began)


def ended_later(server: Halley, prediction_id: str, end: float) -> None:
    """As `ended`, while the server may be away."""
    while time.monotonic() < end:
        try:
            ended(server, prediction_id, end)
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
        else:
            return


def report(
    chosen: argparse.Namespace, cogs: list[FakeCog], rows: list[dict[str, Any]], listed: set[str], took: float
) -> int:
    begun = sum((cog.begun for cog in cogs), Counter[str]())
    twice = {one for one, count in begun.items() if count > 1}
    failed = {row["id"]: row.get("error") for row in rows if row["status"] != "succeeded"}
    done = [row for row in rows if row["status"] == "succeeded"]
    wrong = {row["id"]: row["output"] for row in done if row["output"] != row["input"]["text"]}
    is_right = not wrong and (not failed if chosen.rerun else not twice and failed.keys() == listed)
    print(
        f"{chosen.line}: {len(rows)} creates, {chosen.kills} kills and 6 cut connections in {took:.0f} s: "
        f"{begun.total()} runs begun, {len(twice)} predictions more than once; {len(failed)} failed, {len(listed)} "
        f"listed as unknown; {'as promised' if is_right else 'WRONG'}"
    )
    if not is_right:
        print({"wrong": wrong, "not listed": {one: why for one, why in failed.items() if one not in listed}})
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
