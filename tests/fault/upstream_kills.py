"""The real server before a faulty service, killed at random: nothing is begun twice, nothing is lost, and what ran is
followed again.
"""

import random
import sqlite3
import sys
import threading
import time
import urllib.error
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

from e2e.process import Halley
from fault.faulty_service import MODEL, FaultyService
from halley.testing.http_jobs import PREDICTIONS
from halley.testing.replicate.server import ThreadedServer
from halley.testing.replicate.service import TOKEN, Style

CLIENTS = 4
IN_FLIGHT = 8
QUIET_SECONDS = 3.0
LEAD = 100  # a create whose prediction waited while 5,000 others were begun cannot be found in a list any more
BUILD: Final = Path(__file__).with_name("upstream_build.py")
PATH: Final = Path(__file__).parents[1]
# some are claimed at three kills before they are submitted: none of these counts as an attempt
CONFIG = f"""
[providers.up]
{{kind}}
url = "{{url}}"
token_env = "UPSTREAM_KEY"
max_in_flight = {IN_FLIGHT}
retry_share = 1.0

[routes."test/*"]
providers = ["up"]
"""


class Broken(AssertionError):
    """A promise is broken."""


class UpstreamKills:
    """One run. `made` are the ids of acknowledged creates, by their number; `open_submits` counts those that were being
    submitted at a kill, `running` has those that were submitted and not over.
    """

    def __init__(
        self,
        home: Path,
        style: Style | Literal["http-job"],
        *,
        creates: int,
        kills: int,
        seed: int = 1,
        planted: str | None = None,
    ) -> None:
        """`planted` is a bug of `upstream_build`. `http-job`: a service like Replicate, described by a job file."""
        self.service = FaultyService("replicate" if style == "http-job" else style, random.Random(seed))
        self.made: dict[int, str] = {}
        self.kills = kills
        self.killed = 0
        self.open_submits = 0
        self.running: set[str] = set()
        self.unknown_count = 0
        self._style = style
        self._home = home
        self._planted = planted
        self._numbers = iter(range(creates))
        self._creates = creates
        self._chance = random.Random(seed + 1)
        self._lock = threading.Lock()
        self._end = 0.0

    def run(self, seconds: float) -> list[dict[str, Any]]:
        """Create all, kill and start the server, and wait until all have ended; at most so many seconds."""
        self._end = time.monotonic() + seconds
        environment = {"UPSTREAM_KEY": TOKEN, "PYTHONPATH": str(PATH)}
        if self._planted is not None:
            environment["KILLS_PLANTED"] = self._planted
        command = (sys.executable, str(BUILD))
        with ThreadedServer(self.service) as upstream:
            config = CONFIG.format(url=upstream.url, kind=self._kind())
            with Halley(self._home, "--no-demo", config=config, environment=environment, command=command) as front:
                clients = [threading.Thread(target=self._client, args=[front]) for _ in range(CLIENTS)]
                for client in clients:
                    client.start()
                try:
                    for number in range(self.kills):
                        self._wait_for(int(self._creates * (number + self._chance.random()) / self.kills))
                        self._kill(front)
                except BaseException:
                    self._end = 0.0  # the clients stop
                    raise
                finally:
                    for client in clients:
                        client.join()
                rows = [self._ended(front, self.made[number]) for number in range(self._creates)]
                self.unknown_count = front.call("GET", "/v1/upstreams")[2]["results"][0]["unknown"]
                return rows

    def _kind(self) -> str:
        if self._style != "http-job":
            return f'kind = "replicate"\nprofile = "{self._style}"'
        text = PREDICTIONS.replace("text = {}", 'n = { type = "integer" }')
        (self._home / "job.toml").write_text(text.replace("settle_seconds = 0", "settle_seconds = 2"))
        return 'kind = "http-job"\nfile = "job.toml"'

    def _kill(self, front: Halley) -> None:
        if self.killed % 2 == 0:
            self._wait_for_run()
        front.kill()
        self.killed += 1
        with closing(sqlite3.connect(self._home / "data" / "halley.db")) as database:
            rows = database.execute("SELECT id, submit_state FROM predictions WHERE completed_at IS NULL").fetchall()
        self.open_submits += sum(state == "intended" for _, state in rows)
        self.running.update(name for name, state in rows if state == "submitted")
        front.start()

    def _wait_for_run(self) -> None:
        """Return while something runs at the service, so that some kills surely hit such a moment."""
        until = time.monotonic() + QUIET_SECONDS
        running = "SELECT 1 FROM predictions WHERE completed_at IS NULL AND submit_state = 'submitted' LIMIT 1"
        with closing(sqlite3.connect(self._home / "data" / "halley.db")) as database:
            while time.monotonic() < until and self._go_on() and database.execute(running).fetchone() is None:
                time.sleep(0.002)

    def _go_on(self) -> bool:
        """Whether there is time left.

        Raises:
            Broken: something was begun twice.
        """
        if self.service.begun_twice:
            raise Broken(f"begun twice: {self.service.begun_twice[:3]}")
        return self._has_time()

    def _has_time(self) -> bool:
        return time.monotonic() < self._end

    def _wait_for(self, asked: int) -> None:
        """Return when so many creates have reached the service, or none does for a while: unknown ones never do."""
        seen, until = -1, 0.0
        while (count := self.service.asked_to_create) < asked and self._go_on():
            if count > seen:
                seen, until = count, time.monotonic() + QUIET_SECONDS
            if time.monotonic() > until:
                return
            time.sleep(0.01)

    def _client(self, front: Halley) -> None:
        while self._has_time():
            with self._lock:
                number = next(self._numbers, None)
            if number is None:
                return
            while number > self.service.asked_to_create + LEAD + IN_FLIGHT * self.killed and self._has_time():
                time.sleep(0.02)
            made = self._create(front, number)
            if made is not None:
                self.made[number] = made

    def _create(self, front: Halley, number: int) -> str | None:
        headers = {"Idempotency-Key": f"create-{number}"}
        while self._has_time():
            try:
                path = f"/v1/models/{MODEL}/predictions"
                status, _, row = front.call("POST", path, {"input": {"n": number}}, headers=headers, timeout=10)
            except (OSError, urllib.error.URLError, ValueError):
                status = 0  # it was killed
            if status == 201:
                return str(row["id"])
            time.sleep(0.05)
        return None

    def _ended(self, front: Halley, prediction_id: str) -> dict[str, Any]:
        row: Any = None
        while self._go_on():
            row = front.call("GET", f"/v1/predictions/{prediction_id}", headers={"Prefer": "wait=5"})[2]
            if row["status"] in {"succeeded", "failed", "canceled", "aborted"}:
                return dict(row)
        raise Broken(f"{prediction_id} did not end: {row}\n{front.log()}")

    def check(self, rows: list[dict[str, Any]]) -> int:
        """Returns how many outcomes are unknown.

        Raises:
            Broken: a promise is broken.
        """
        if self.service.begun_twice:
            raise Broken(f"begun twice: {self.service.begun_twice[:3]}")
        unknown = {row["id"] for row in rows if row["status"] == "failed" and "paid for twice" in row["error"]}
        for number, row in enumerate(rows):
            if row["id"] not in unknown and (row["status"], row["output"]) != ("succeeded", f"said {number}"):
                raise Broken(f"lost: {row}")
        if unknown & self.running:
            raise Broken(f"not followed after a restart: {len(unknown & self.running)} of {len(self.running)}")
        if len(unknown) != self.unknown_count:
            raise Broken(f"{len(unknown)} are unknown, and {self.unknown_count} are listed")
        most = self.service.unclear + self.open_submits if self.service.style == "cometapi" else 0
        if len(unknown) > most:
            why = [row["error"] for row in rows if row["id"] in unknown][:3]
            raise Broken(f"{len(unknown)} are unknown; at most {most} may be: {why}")
        return len(unknown)
