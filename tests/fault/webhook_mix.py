"""Predictions with webhooks, receivers that fail, are slow or silent, a server that is killed again and again.

All is counted. Each prediction has one of three receivers: most have one that refuses at random, some a slow one, some
one that never answers until the last kill is over.

Nothing is killed but the server that was started here; everything is bounded.
"""

import random
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from process import Halley
from receiver import Arrived, Receiver

HERE: Final = Path(__file__).parent
MODEL: Final = "test/nap"
SETTLE_SECONDS: Final = 180.0
TOTAL_SECONDS: Final = 4.0  # of an attempt
GIVEN_UP_SECONDS: Final = TOTAL_SECONDS / 4  # what is not answered by then may have been given up, however slow we are
DYING_SECONDS: Final = 0.2  # after a kill: what was sent before has been read, and no new server has come up so soon
MOST_REFUSED: Final = 5  # of one message in a row: chance alone would now and then refuse them all
CONFIG: Final = """
[server]
access_log = false
[webhooks]
retry_first_seconds = 0.05
retry_for_seconds = 60
[limits]
webhook_total_seconds = {total}
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
    kills: int = 0  # of a server that ran
    arrived: int = 0
    refused: int = 0
    attempts: int = 0
    interrupted: int = 0  # to a receiver that answers
    timeouts: int = 0  # of the silent one, as the log has it
    repeated: int = 0  # ends that arrived more than once: legal
    lost: list[str] = field(default_factory=list)  # its create was acknowledged
    missing: list[str] = field(default_factory=list)  # ended, and nobody was told
    two_ids: list[str] = field(default_factory=list)
    backwards: list[str] = field(default_factory=list)  # an earlier state after a later one
    overlapping: list[str] = field(default_factory=list)  # two messages about one prediction at once, by one server
    unlogged: list[str] = field(default_factory=list)  # arrived, and not in the delivery log
    unsettled: list[str] = field(default_factory=list)  # of the log or the messages, still open at the end

    @property
    def violations(self) -> dict[str, list[str]]:
        return {name: value for name, value in vars(self).items() if isinstance(value, list) and value}


class Mix:
    """One run. `planted` names bugs to switch on."""

    def __init__(
        self,
        home: Path,
        *,
        predictions: int,
        kills: int,
        planted: str = "",
        seed: int = 1,
        longest_nap_seconds: float = 0.5,
    ) -> None:
        (home / "controls").mkdir()
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._refusals: Counter[str] = Counter()
        self._wanted = predictions
        self._kills = kills
        self._longest_nap_seconds = longest_nap_seconds
        self._database = home / "data" / "halley.db"
        self._receiver = Receiver(self._answer)
        self._slow = Receiver(self._answer_late)
        self._silent = Receiver(self._answer_in_the_end)
        self._is_over = threading.Event()
        self._made: set[str] = set()
        self._killed_at: list[float] = []
        self._server = Halley(
            home,
            "--no-demo",
            config=CONFIG.format(models=HERE / "models", total=TOTAL_SECONDS),
            command=(sys.executable, str(HERE / "build.py")),
            environment={"FAULT_FOLDER": str(home / "controls"), "FAULT_PLANTED": planted},
        )

    def run(self) -> Found:
        """Make predictions and kill the server in between; then let all settle, and count."""
        with self._receiver, self._slow, self._silent:
            self._server.start()
            try:
                each = -(-self._wanted // (self._kills + 1))
                for number in range(self._kills + 1):
                    self._make(min(each, self._wanted - number * each))
                    if number < self._kills:
                        time.sleep(self._chance.uniform(0.0, 0.6))
                        self._kill()
                        self._server.start()
                time.sleep(TOTAL_SECONDS + 0.5)  # for once nobody is killed before the silent one was given up
                self._is_over.set()
                self._wait("all have ended", "SELECT count(*) FROM predictions WHERE completed_at IS NULL")
                self._wait("all is noticed", UNNOTICED)  # or the last end has no message yet that could be waited for
                self._wait("all is told", "SELECT count(*) FROM webhook_messages WHERE next_at IS NOT NULL")
            finally:
                self._is_over.set()
                self._server.stop()
            return self._count()

    def _make(self, count: int) -> None:
        for _ in range(count):
            seconds = round(self._chance.uniform(0.0, self._longest_nap_seconds), 3)
            given = {"seconds": seconds, "dreams": self._chance.choice((0, 0, 2, 5))}
            (receiver,) = self._chance.choices((self._receiver, self._slow, self._silent), (16, 3, 1))
            body = {"input": given, "webhook": receiver.url}
            if self._chance.random() < 0.5:
                body["webhook_events_filter"] = ["start", "output", "logs", "completed"]
            status, _, made = self._server.call("POST", f"/v1/models/{MODEL}/predictions", body)
            assert status == 201, made
            self._made.add(made["id"])

    def _kill(self) -> None:
        process = self._server.process
        assert process is not None
        assert process.poll() is None, f"the server ended by itself:\n{self._server.log()}"
        self._server.kill()
        assert process.returncode == -signal.SIGKILL
        self._killed_at.append(time.monotonic())

    def _answer(self, message: Arrived) -> int:
        with self._lock:
            slowness = self._chance.uniform(0.0, 0.1)
            refuse = self._chance.random() < 0.3 and self._refusals[message.id] < MOST_REFUSED
            self._refusals[message.id] += refuse
        time.sleep(slowness)
        return 503 if refuse else 204

    def _answer_late(self, _message: Arrived) -> int:
        with self._lock:
            slowness = self._chance.uniform(0.3, 0.9)
        time.sleep(slowness)
        return 204

    def _answer_in_the_end(self, _message: Arrived) -> int:
        if self._is_over.is_set():
            return 204
        self._is_over.wait(SETTLE_SECONDS)
        return 504  # to nobody

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
        arrived = [one for each in (self._receiver, self._slow, self._silent) for one in each.arrived]
        found = Found(
            kills=len(self._killed_at), arrived=len(arrived), refused=sum(one.status == 503 for one in arrived)
        )
        ended = {row[0]: row[1] for row in self._rows("SELECT id, status FROM predictions")}
        found.predictions = len(ended)
        found.lost += sorted(self._made - set(ended))
        by_prediction: dict[str, list[Arrived]] = defaultdict(list)
        for message in arrived:
            by_prediction[message.body["id"]].append(message)
        for prediction_id, status in ended.items():
            self._judge(prediction_id, status, by_prediction[prediction_id], found)
        log = self._rows("SELECT message_id, outcome, url, error FROM webhook_deliveries")
        found.attempts = len(log)
        silent = [(outcome, error) for _, outcome, url, error in log if url == self._silent.url]
        found.interrupted = sum(outcome == "interrupted" for _, outcome, *_ in log)
        found.interrupted -= sum(outcome == "interrupted" for outcome, _ in silent)
        found.timeouts = sum(outcome == "failed" and "took longer than" in (error or "") for outcome, error in silent)
        found.unsettled += [message_id for message_id, outcome, *_ in log if outcome is None]
        logged = Counter(message_id for message_id, *_ in log)
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
        for earlier, later in combinations(told, 2):
            if later.begins_at < min(earlier.ends_at, earlier.begins_at + GIVEN_UP_SECONDS) and not self._is_between(
                earlier, later
            ):
                found.overlapping.append(f"{prediction_id}: {_name(earlier)}, {_name(later)}")

    def _is_between(self, earlier: Arrived, later: Arrived) -> bool:
        """Whether a kill ended the sender of the one before the other was sent."""
        return any(earlier.begins_at <= at + DYING_SECONDS <= later.begins_at for at in self._killed_at)


def _name(message: Arrived) -> str:
    return f"{message.body['status']} {message.id}"


def _step(message: Arrived) -> tuple[int, int, int]:
    """How far the prediction had come: by status, then by what it had put out and printed."""
    body = message.body
    return RANK.get(body["status"], 2), len(body["output"] or ()), len(body["logs"])


def until_found(run: Callable[[int], Found], tries: int, what: str) -> Found:
    """Repeat a run with another seed until the planted bug shows."""
    for seed in range(1, tries + 1):
        found = run(seed)
        if getattr(found, what):
            return found
    raise AssertionError(f"the planted bug was never seen: no {what} in {tries} runs")
