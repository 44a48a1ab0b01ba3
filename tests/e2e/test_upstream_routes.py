"""The real server with two services: shares by weight, what callers see while one wants a pause, and views."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from process import ADMIN_KEY, Halley

from halley.testing.replicate.faults import says
from halley.testing.replicate.scripts import echo
from halley.testing.replicate.server import ThreadedServer
from halley.testing.replicate.service import TOKEN, FakeService

pytestmark = pytest.mark.e2e

PROVIDER = """
[providers.{name}]
kind = "replicate"
profile = "halley"
url = "{url}"
token_env = "SERVICE_TOKEN"
"""
ROUTES = """
[routes."test/shared"]
weights = { one = 1, two = 3 }

[routes."test/only"]
providers = ["two"]
"""


class Routed:
    """The server, and its services `one` and `two`."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self.services = {name: FakeService({"test/shared": echo, "test/only": echo}, style="halley") for name in NAMES}
        config = ROUTES
        for name, service in self.services.items():
            service.described = {model: {"is_official": True} for model in service.models}
            config += PROVIDER.format(name=name, url=stack.enter_context(ThreadedServer(service)).url)
        environment = {"SERVICE_TOKEN": TOKEN}
        self.front = stack.enter_context(Halley(home, "--no-demo", config=config, environment=environment))

    def create(self, model: str, **headers: str) -> dict[str, Any]:
        path, body = f"/v1/models/{model}/predictions", {"input": {"text": "abc"}}
        status, _, row = self.front.call("POST", path, body, headers=headers)
        assert status in {201, 202}, row
        return dict(row)

    def shown(self, name: str) -> dict[str, Any]:
        rows = self.front.call("GET", "/v1/upstreams")[2]["results"]
        return dict(next(row for row in rows if row["name"] == name))

    def command(self, *words: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "halley.cli.main", *words, "--server", self.front.url, "--token", ADMIN_KEY],
            env={"HOME": str(self.front.home)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout + done.stderr


NAMES = ("one", "two")


@pytest.fixture
def routed(tmp_path: Path) -> Iterator[Routed]:
    with ExitStack() as stack:
        yield Routed(stack, tmp_path)


def test_shares_reasons_and_views(routed: Routed) -> None:
    for _ in range(8):
        assert routed.create("test/shared", Prefer="wait=20")["status"] == "succeeded"
    counts = {name: len(service.runs) for name, service in routed.services.items()}
    assert counts == {"one": 2, "two": 6}
    one = routed.shown("one")
    assert (one["state"], one["opened"], one["submits"], one["bucket"]) == ("closed", 0, 2, None)
    assert one["submit_seconds"]["count"] == one["run_seconds"]["count"] == 2
    said = routed.command("routes", "test", "test/shared")
    assert "two (weight 3): yes" in said
    assert "a submit took" in routed.command("upstreams", "show", "one")

    routed.services["two"].plan("create", says(429, {"detail": "slow down"}, retry_after="120"))
    made = [routed.create("test/only")]
    for _ in range(300):  # one that is sent before the answer would be accepted
        if routed.shown("two")["paused_seconds"]:
            break
        time.sleep(0.05)
    made += [routed.create("test/only") for _ in range(2)]
    reason = "two: it asked for a pause of"
    row: dict[str, Any] = {}
    for _ in range(300):
        row = routed.front.call("GET", f"/v1/predictions/{made[2]['id']}")[2]
        if "before it: 2" in row.get("starting_reason", ""):
            break
        time.sleep(0.05)
    assert row["status"] == "starting"
    assert row["starting_reason"].startswith(reason)
    assert row["starting_reason"].endswith("predictions of the same account before it: 2")
    two = routed.shown("two")
    assert two["bucket"] == {"left": None, "limit": None, "reset_seconds": None, "at_once": 1}
    assert two["paused_seconds"] > 40
    assert routed.create("test/shared", Prefer="wait=20")["status"] == "succeeded", "the other one has its share now"
    assert routed.front.call("GET", "/v1/counts")[2]["breaker_openings"] == {"one": 0, "two": 0}
