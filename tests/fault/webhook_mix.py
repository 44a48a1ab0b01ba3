"""Predictions with webhooks, a receiver that fails at random, a server that is killed again and again: all is counted.

Nothing is killed but the server that was started here; everything is bounded.
"""

import random
import sqlite3
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from process import Halley
from receiver import Arrived, Receiver

HERE: Final = Path(__file__).parent
MODEL: Final = "test/nap"
SETTLE_SECONDS: Final = 90.0
MOST_REFUSED: Final = 5  # of one message in a row: chance alone would now and then refuse them all
CONFIG: Final = """
[server]
access_log = false
[webhooks]
retry_first_seconds = 0.05
retry_for_seconds = 60
[models."test/nap"]
path = "{models}/nap"
preload = true
"""
UNNOTICED: Final = (
    'SELECT count(*) FROM events WHERE for_webhook = 1 AND "offset" >'
    " coalesce((SELECT \"offset\" FROM cursors WHERE name = 'webhooks'), 0)"
)
RANK: Final = {"starting": 0, "processing": 1}


@dataclass
class Found:
    """The counts, and what was promised and not kept."""

    predictions: int = 0
    kills: int = 0
    arrived: int = 0
    refused: int = 0
    attempts: int = 0
    interrupted: int = 0
    repeated: int = 0  # ends that arrived more than once: legal
    missing: list[str] = field(default_factory=list)  # ended, and nobody was told
    two_ids: list[str] = field(default_factory=list)
    backwards: list[str] = field(default_factory=list)  # an earlier state after a later one
    overlapping: list[str] = field(default_factory=list)  # two messages about one prediction at once
    unlogged: list[str] = field(default_factory=list)  # arrived, and not in the delivery log
    unsettled: list[str] = field(default_factory=list)  # of the log or the messages, still open at the end

    @property
    def violations(self) -> dict[str, list[str]]:
        return {name: value for name, value in vars(self).items() if isinstance(value, list) and value}


class Mix:
    """One run. `planted` names bugs to switch on."""

    def __init__(self, home: Path, *, predictions: int, kills: int, planted: str = "", seed: int = 1) -> None:
        (home / "controls").mkdir()
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._refusals: Counter[str] = Counter()
        self._wanted = predictions
        self._kills = kills
        self._database = home / "data" / "halley.db"
        self._receiver = Receiver(self._answer)
        self._server = Halley(
            home,
            "--no-demo",
            config=CONFIG.format(models=HERE / "models"),
            command=(sys.executable, str(HERE / "build.py")),
            environment={"FAULT_FOLDER": str(home / "controls"), "FAULT_PLANTED": planted},
        )

    def run(self) -> Found:
        """Make predictions and kill the server in between; then let all settle, and count."""
        with self._receiver:
            self._server.start()
            try:
                each = -(-self._wanted // (self._kills + 1))
                for number in range(self._kills + 1):
                    self._make(min(each, self._wanted - number * each))
                    if number < self._kills:
                        time.sleep(self._chance.uniform(0.0, 0.6))
                        self._server.kill()
                        self._server.start()
                self._wait("all have ended", "SELECT count(*) FROM predictions WHERE completed_at IS NULL")
                self._wait("all is noticed", UNNOTICED)  # or the last end has no message yet that could be waited for
                self._wait("all is told", "SELECT count(*) FROM webhook_messages WHERE next_at IS NOT NULL")
            finally:
                self._server.stop()
            return self._count()

    def _make(self, count: int) -> None:
        for _ in range(count):
            given = {"seconds": round(self._chance.uniform(0.0, 0.5), 3), "dreams": self._chance.choice((0, 0, 2, 5))}
            body = {"input": given, "webhook": self._receiver.url}
            if self._chance.random() < 0.5:
                body["webhook_events_filter"] = ["start", "output", "logs", "completed"]
            self._server.call("POST", f"/v1/models/{MODEL}/predictions", body)

    def _answer(self, message: Arrived) -> int:
        with self._lock:
            slowness = self._chance.uniform(0.0, 0.1)
            refuse = self._chance.random() < 0.3 and self._refusals[message.id] < MOST_REFUSED
            self._refusals[message.id] += refuse
        time.sleep(slowness)
        return 503 if refuse else 204

    def _wait(self, what: str, count_left: str) -> None:
        end = time.monotonic() + SETTLE_SECONDS
        while (left := self._rows(count_left)[0][0]) and time.monotonic() < end:
            time.sleep(0.1)
        if left:
            raise AssertionError(f"not {what} after {SETTLE_SECONDS:g} s: {left} left\n{self._server.log()}")

    def _rows(self, statement: str) -> list[Any]:
        with closing(sqlite3.connect(f"{self._database.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(statement).fetchall()

    def _count(self) -> Found:
        arrived = self._receiver.arrived
        found = Found(kills=self._kills, arrived=len(arrived), refused=sum(one.status == 503 for one in arrived))
        ended = {row[0]: row[1] for row in self._rows("SELECT id, status FROM predictions")}
        found.predictions = len(ended)
        by_prediction: dict[str, list[Arrived]] = defaultdict(list)
        for message in arrived:
            by_prediction[message.body["id"]].append(message)
        for prediction_id, status in ended.items():
            self._judge(prediction_id, status, by_prediction[prediction_id], found)
        log = self._rows("SELECT message_id, outcome FROM webhook_deliveries")
        found.attempts = len(log)
        found.interrupted = sum(outcome == "interrupted" for _, outcome in log)
        found.unsettled += [message_id for message_id, outcome in log if outcome is None]
        logged = Counter(message_id for message_id, _ in log)
        found.unlogged += [key for key, count in Counter(one.id for one in arrived).items() if count > logged[key]]
        return found

    def _judge(self, prediction_id: str, status: str, told: list[Arrived], found: Found) -> None:
        ends = [one for one in told if one.body["status"] not in RANK]
        if not any(one.status == 204 and one.body["status"] == status for one in ends):
            found.missing.append(prediction_id)
        if len({one.id for one in ends}) > 1:
            found.two_ids.append(prediction_id)
        found.repeated += len(ends) > 1
        steps = [_step(one) for one in told]
        if steps != sorted(steps):
            found.backwards.append(f"{prediction_id}: {steps}")
        for earlier, later in pairwise(told):
            if later.begins_at < earlier.ends_at and later.body["status"] not in RANK and earlier.id != later.id:
                found.overlapping.append(f"{prediction_id}: {earlier.id}, {later.id}")


def _step(message: Arrived) -> tuple[int, int]:
    """How far the prediction had come: by status, then by what it had put out."""
    body = message.body
    return RANK.get(body["status"], 2), len(body["output"] or ())


def until_found(run: Callable[[int], Found], tries: int, what: str) -> Found:
    """Repeat a run with another seed until the planted bug shows."""
    for seed in range(1, tries + 1):
        found = run(seed)
        if getattr(found, what):
            return found
    raise AssertionError(f"the planted bug was never seen: no {what} in {tries} runs")
