"""The real server before a faulty service, killed at random: nothing is begun twice, nothing is lost."""

import random
import threading
import time
import urllib.error
from pathlib import Path
from typing import Any

from e2e.process import Halley
from fault.faulty_service import MODEL, FaultyService
from halley.testing.replicate.server import ThreadedServer
from halley.testing.replicate.service import TOKEN, Style

CLIENTS = 4
IN_FLIGHT = 8
QUIET_SECONDS = 5.0
CONFIG = f"""
[providers.up]
kind = "replicate"
url = "{{url}}"
token_env = "UPSTREAM_KEY"
profile = "{{style}}"
max_in_flight = {IN_FLIGHT}

[routes."test/*"]
providers = ["up"]
"""


class UpstreamKills:
    """One run. `made` are the ids of acknowledged creates, by their number."""

    def __init__(self, home: Path, style: Style, *, creates: int, kills: int, seed: int = 1) -> None:
        self.service = FaultyService(style, random.Random(seed))
        self.made: dict[int, str] = {}
        self.kills = kills
        self._style = style
        self._home = home
        self._numbers = iter(range(creates))
        self._creates = creates
        self._chance = random.Random(seed + 1)
        self._lock = threading.Lock()

    def run(self, seconds: float) -> list[dict[str, Any]]:
        """Create all, kill and start the server, and wait until all have ended; at most so many seconds."""
        end = time.monotonic() + seconds
        with ThreadedServer(self.service) as upstream:
            config = CONFIG.format(url=upstream.url, style=self._style)
            with Halley(self._home, "--no-demo", config=config, environment={"UPSTREAM_KEY": TOKEN}) as front:
                clients = [threading.Thread(target=self._client, args=[front, end]) for _ in range(CLIENTS)]
                for client in clients:
                    client.start()
                for number in range(self.kills):
                    self._wait_for(int(self._creates * (number + self._chance.random()) / self.kills), end)
                    front.kill()
                    front.start()
                for client in clients:
                    client.join()
                return [self._ended(front, self.made[number], end) for number in range(self._creates)]

    def _wait_for(self, asked: int, end: float) -> None:
        """Return when so many creates have reached the service, or none does for a while: unknown ones never do."""
        seen, until = -1, 0.0
        while (count := self.service.asked_to_create) < asked and time.monotonic() < end:
            if count > seen:
                seen, until = count, time.monotonic() + QUIET_SECONDS
            if time.monotonic() > until:
                return
            time.sleep(0.01)

    def _client(self, front: Halley, end: float) -> None:
        while time.monotonic() < end:
            with self._lock:
                number = next(self._numbers, None)
            if number is None:
                return
            self.made[number] = self._create(front, number, end)

    def _create(self, front: Halley, number: int, end: float) -> str:
        headers = {"Idempotency-Key": f"create-{number}"}
        while time.monotonic() < end:
            try:
                path = f"/v1/models/{MODEL}/predictions"
                status, _, row = front.call("POST", path, {"input": {"n": number}}, headers=headers, timeout=10)
            except (OSError, urllib.error.URLError, ValueError):
                status = 0  # it was killed
            if status == 201:
                return str(row["id"])
            time.sleep(0.05)
        raise AssertionError(f"create {number} was not accepted")

    def _ended(self, front: Halley, prediction_id: str, end: float) -> dict[str, Any]:
        row: Any = None
        while time.monotonic() < end:
            row = front.call("GET", f"/v1/predictions/{prediction_id}", headers={"Prefer": "wait=5"})[2]
            if row["status"] in {"succeeded", "failed", "canceled", "aborted"}:
                return dict(row)
        raise AssertionError(f"{prediction_id} did not end: {row}\n{front.log()}")

    def check(self, rows: list[dict[str, Any]]) -> int:
        """Returns how many outcomes are unknown."""
        assert max(self.service.creates.values()) == 1, "begun twice"
        unknown = [row for row in rows if row["status"] == "failed" and "paid for twice" in row["error"]]
        for number, row in enumerate(rows):
            if row not in unknown:
                assert (row["status"], row["output"]) == ("succeeded", f"said {number}"), row
        if self.service.style == "cometapi":
            assert len(unknown) <= self.service.unclear + self.kills * IN_FLIGHT
        else:
            assert unknown == []
        return len(unknown)
