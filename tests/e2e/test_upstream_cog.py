"""The real server in front of two fake Cog servers: files, cancels, a server that is not well, a kill -9."""

import asyncio
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process import Halley

from halley.testing.cog.models import Running, document, wait
from halley.testing.cog.server import FakeCog
from halley.testing.cog.threads import ThreadedCogs

pytestmark = pytest.mark.e2e

ITEMS = {"type": "array", "items": {"type": "string", "format": "uri"}, "x-cog-array-type": "iterator"}
BOTH = """
[providers.gpu]
kind = "cog"
urls = ["{0}", "{1}"]

[routes."acme/painter"]
providers = ["gpu"]
"""
EACH = """
[providers.once]
kind = "cog"
url = "{0}"

[providers.again]
kind = "cog"
url = "{1}"
rerun_lost = true

[routes."acme/once"]
providers = ["once"]

[routes."acme/again"]
providers = ["again"]
"""


async def paint(run: Running) -> Any:
    """Two files, or a run without end."""
    if run.input["text"] == "wait":
        await wait(run)
    if run.input["text"] == "slow":
        await asyncio.sleep(2)
    for number in range(2):
        run.log(f"file {number}\n")
        run.yields("data:image/png;base64," + b64encode(b"\x89PNG\r\n\x1a\n" + bytes([number])).decode())
    return list(run.output)


@pytest.fixture
def cogs() -> Iterator[tuple[FakeCog, FakeCog]]:
    first, second = (FakeCog(paint, document(ITEMS, has_stream=True), line="stream") for _ in range(2))
    with ThreadedCogs(first, second):
        yield first, second


def create(server: Halley, text: str, *, model: str = "acme/painter", seconds: int = 30) -> dict[str, Any]:
    headers = {"Prefer": f"wait={seconds}"} if seconds else {}
    status, _, made = server.call("POST", f"/v1/models/{model}/predictions", {"input": {"text": text}}, headers=headers)
    assert status in {201, 202}, made
    return dict(made)


def until(server: Halley, prediction_id: str, *words: str) -> dict[str, Any]:
    for _ in range(600):
        _, _, row = server.call("GET", f"/v1/predictions/{prediction_id}")
        if row["status"] in words:
            return dict(row)
        time.sleep(0.05)
    raise AssertionError(f"{row}\n{server.log()}")


def gpu(server: Halley) -> dict[str, Any]:
    """The provider as operators see it."""
    _, _, page = server.call("GET", "/v1/upstreams")
    return dict(page["results"][0])


def test_two_servers_run_predictions_with_files_and_cancels(cogs: tuple[FakeCog, FakeCog], tmp_path: Path) -> None:
    with Halley(tmp_path, "--no-demo", config=BOTH.format(*(cog.url for cog in cogs))) as server:
        row = create(server, "a house")
        assert (row["status"], row["logs"]) == ("succeeded", "file 0\nfile 1\n")
        assert all(url.startswith(f"{server.url}/d/") for url in row["output"])
        assert [server.call("GET", url)[2][-1] for url in row["output"]] == [0, 1]
        status, _, refused = server.call("POST", "/v1/models/acme/painter/predictions", {"input": {"text": 3}})
        assert (status, "text" in str(refused)) == (422, True)

        rows = [create(server, "wait", seconds=0) for _ in range(2)]
        for row in rows:
            until(server, row["id"], "processing")
        assert [len(cog.runs) for cog in cogs] == [1, 1]
        assert [one["in_flight"] for one in gpu(server)["addresses"]] == [1, 1]
        for row in rows:
            server.call("POST", f"/v1/predictions/{row['id']}/cancel")
            until(server, row["id"], "canceled")
        for _ in range(400):  # a caller need not wait for that
            if not any(cog.runs for cog in cogs):
                break
            time.sleep(0.05)
        assert not any(cog.runs for cog in cogs)

        for cog in cogs:
            cog.word, cog.setup_logs = "SETUP_FAILED", "RuntimeError: no weights"
        waiting = create(server, "a house", seconds=0)
        for _ in range(400):
            if "no weights" in (gpu(server)["reason"] or ""):
                break
            time.sleep(0.05)
        assert [one["reason"] for one in gpu(server)["addresses"]] == 2 * [
            "Its health is SETUP_FAILED: RuntimeError: no weights"
        ]
        assert until(server, waiting["id"], "starting")
        for cog in cogs:
            cog.word = None
        until(server, waiting["id"], "succeeded")


def test_a_stop_waits_and_what_a_kill_cuts_is_unknown_or_sent_again(
    cogs: tuple[FakeCog, FakeCog], tmp_path: Path
) -> None:
    async def quick(run: Running) -> Any:
        run.yields("data:text/plain;base64,YQ==")
        return list(run.output)

    with Halley(tmp_path, "--no-demo", config=EACH.format(*(cog.url for cog in cogs))) as server:
        slow = create(server, "slow", model="acme/once", seconds=0)
        until(server, slow["id"], "processing")
        server.stop()
        server.start()
        assert until(server, slow["id"], "succeeded")  # a stop waits for it
        assert cogs[0].begun[slow["id"]] == 1

        rows = [create(server, "wait", model=model, seconds=0) for model in ("acme/once", "acme/again")]
        for row in rows:
            until(server, row["id"], "processing")
        server.kill()
        for cog in cogs:
            cog.model = quick
        server.start()
        once, again = (until(server, row["id"], "succeeded", "failed") for row in rows)
        assert (once["status"], again["status"]) == ("failed", "succeeded")
        assert [cog.begun[row["id"]] for cog, row in zip(cogs, rows, strict=True)] == [1, 2]
        _, _, page = server.call("GET", "/v1/upstreams/unknown")
        assert [one["id"] for one in page["results"]] == [once["id"]]
