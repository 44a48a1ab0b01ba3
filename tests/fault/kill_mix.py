"""The kill mix: real servers and replicas die and pause while clients work, and at the end everything is counted.

A death counts only if at that moment a create had been sent and not answered, and a prediction was held by a session.
Everything is bounded, and nothing is killed but what was started here: the server, and children of the server that
run our runner.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from process import ADMIN_KEY, Halley

from fault.mix_clients import Client, Quota, RawCreate, create_bytes, note_create
from fault.mix_ledger import Books, Ledger, Verdict
from fault.mix_steps import MODELS, make_models, missing_over_http, stop_between_commits, wait_until
from fault.runners import left_of, runners_in, runners_of

HERE: Final = Path(__file__).parent
CLIENTS: Final = 6
SETTLE_SECONDS: Final = 180.0
LEASE_SECONDS: Final = 1.0
STRIKE: Final = "strike"  # see build.py
DIRECT: Final = "direct"
WAYS: Final = ("outside", "before_commit", "outside", "after_commit")
RAWS: Final = 3
STRIKE_RAWS: Final = 10
GAP_SECONDS: Final = 0.001  # at most, between two creates; and half of it before the blow
LIFE_SECONDS: Final = 0.8  # at most this long nothing happens to a server: clients finish something, too
CONFIG: Final = """
[server]
access_log = false
[runs]
lease_seconds = 1.0
heartbeat_seconds = 0.4
[models."test/nap"]
path = "models/nap"
preload = true
[models."test/doze"]
path = "models/doze"
preload = true
"""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What shall happen, to at least so many acknowledged predictions.

    `planted` names bugs to switch on; with `until_caught` the first violation ends the run.
    """

    predictions: int = 500
    server_deaths: int = 40
    replica_deaths: int = 40
    pauses: int = 5
    ways: tuple[str, ...] = WAYS
    chance: float = 0.5  # of a failpoint, each time that a create passes it
    planted: str = ""
    until_caught: bool = False
    seed: int = 1


@dataclass
class Report:
    """The counts. `violations` must be empty, and the deaths as many as were asked for."""

    acknowledged: int = 0
    unknown: int = 0
    canceled: int = 0
    server_deaths: int = 0
    of_them_at_failpoints: int = 0
    of_these_with_direct_creates: int = 0
    replica_deaths: int = 0
    deaths_not_counted: int = 0
    pauses: int = 0
    taken_back: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    missing_over_http: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)  # lost a replica, and not failed with a reason
    orphans: list[str] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def violations(self) -> dict[str, Any]:
        """What was promised and not kept."""
        found = {
            **vars(self.verdict),
            "missing_over_http": self.missing_over_http,
            "stuck": self.stuck,
            "unexplained": self.unexplained,
            "orphans": self.orphans,
            "faults": self.faults,
        }
        return {name: value for name, value in found.items() if value}

    def __str__(self) -> str:
        counts = {name: value for name, value in vars(self).items() if isinstance(value, int | float)}
        zeros = ("lost", "two_terminals", "overturned", "stale", "missing_over_http", "stuck", "unexplained", "orphans")
        counts |= {name: len({**vars(self.verdict), **vars(self)}[name]) for name in zeros}
        lines = [f"{name:24}{value:>8.6g}" for name, value in counts.items()]
        return "\n".join([*lines, f"ended as: {self.statuses}", f"violations: {self.violations}"])


def run_mix(home: Path, schedule: Schedule) -> Report:
    """Run the schedule in an empty folder and count. Takes a second or two for each pair of deaths."""
    began = time.monotonic()
    with Mix(home, schedule) as mix:
        mix.kill_rounds()
        mix.pause_rounds()
        mix.settle()
    mix.report.orphans += [f"at the end: {each.pid}" for each in left_of(runners_in(home))]
    mix.report.seconds = time.monotonic() - began
    return mix.report


class Mix:
    """One run of a schedule: the server, its clients, and who kills them."""

    def __init__(self, home: Path, schedule: Schedule) -> None:
        make_models(home)
        self._controls = home / "controls"
        self._controls.mkdir()
        self._schedule = schedule
        self._chance = random.Random(schedule.seed)
        self._server = Halley(
            home,
            "--no-demo",
            config=CONFIG,
            command=(sys.executable, str(HERE / "build.py")),
            environment={"FAULT_FOLDER": str(self._controls), "FAULT_PLANTED": schedule.planted},
        )
        self._database = home / "data" / "halley.db"
        self._books = Books(self._database)
        self._ledger = Ledger()
        self._quota = Quota()
        self._clients = [
            Client(self._server.port, ADMIN_KEY, MODELS, self._ledger, self._quota, schedule.seed * 100 + number)
            for number in range(CLIENTS)
        ]
        self.report = Report()

    def __enter__(self) -> Self:
        self._server.start()
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._quota.close(CLIENTS)
        if self._process.poll() is None:
            self._server.kill()
        for client in self._clients:
            client.join(30)

    # the two acts

    def kill_rounds(self) -> None:
        """Kill replicas and servers until there were enough that count."""
        schedule, report = self._schedule, self.report
        rounds = max(schedule.server_deaths, schedule.replica_deaths)
        each = schedule.predictions // max(rounds, 1)
        for number in range(rounds * 2):
            more_replicas = report.replica_deaths < schedule.replica_deaths
            more_servers = report.server_deaths < schedule.server_deaths
            if not (more_replicas or more_servers) or self._is_caught():
                return
            self._quota.give(each)
            time.sleep(self._chance.uniform(0, LIFE_SECONDS))
            # one that has told some output: others may run again when their process dies
            length = 4 if more_replicas else 1  # it must not have ended by itself when it is killed
            victim = self._begin(MODELS[0], seconds=5.0 * length, dreams=24 * length)
            witness = self._begin(MODELS[1], seconds=5.0)
            self._wait_until("the witnesses run", self._started, victim, witness)
            self._wait_until("the victim has told something", self._holds_both, witness, victim)
            if more_replicas:
                self._kill_replica(victim)
            if more_servers:
                self._kill_server(schedule.ways[number % len(schedule.ways)], witness)
                self._server.start()

    def pause_rounds(self) -> None:
        """Stop the server for longer than its lease, let somebody else take its work back, let it go on."""
        if not self._schedule.pauses or self._is_caught():
            return
        with _second_node(self._database) as take_back:
            for number in range(self._schedule.pauses):
                # one ends while nobody listens, one goes on afterwards, one has published output
                self._begin(MODELS[0], seconds=1.0)
                plain = self._begin(MODELS[1], seconds=3.0)
                dreamer = self._begin(MODELS[number % 2], seconds=6.0, dreams=24)
                self._quota.give(10)
                self._wait_until("the naps run", self._holds_both, plain, dreamer)
                self._pause(take_back)
                time.sleep(0.5)  # what was held back comes now
                if self._is_caught():
                    return

    def settle(self) -> None:
        """Let everything end, and count."""
        if not self._schedule.until_caught:
            self._quota.give(self._schedule.predictions)  # as many as are still missing, and nobody takes more
            self._wait_until("the clients are done", self._enough_acknowledged, seconds=SETTLE_SECONDS)
        self._quota.close(CLIENTS)
        for client in self._clients:
            client.join(30)
            if client.broke is not None:
                raise client.broke
        report = self.report
        if not self._is_caught():
            self._begin(MODELS[0], seconds=0.0)  # after all that, the next one works
            try:
                self._wait_until("all have ended", lambda: not self._books.unfinished(), seconds=SETTLE_SECONDS)
            except AssertionError:
                report.stuck = self._books.unfinished()
            report.missing_over_http = missing_over_http(self._server, self._books, self._ledger)
            if (code := self._server.stop()) != 0:
                self._ledger.complain(f"the server ended with {code} after SIGTERM")
        report.verdict = self._books.compare(self._ledger)
        report.statuses = self._books.statuses()
        report.acknowledged, report.unknown = len(self._ledger.acknowledged), self._ledger.unknown
        report.canceled = len(self._ledger.canceled)
        report.faults = dict(self._ledger.faults)
        if (direct := self._controls / DIRECT).exists():
            report.of_these_with_direct_creates = direct.stat().st_size

    # one stroke each

    def _kill_replica(self, victim: str) -> None:
        folder = MODELS[0].partition("/")[2]
        runner = next(each for each in runners_of(self._process.pid) if f"/models/{folder}" in " ".join(each.cmdline()))
        raws = self._fire(RAWS)
        runner.kill()
        in_flight = not all(raw.is_answered() for raw in raws)
        for raw in raws:
            note_create(self._ledger, raw.answer())
        try:
            self._wait_until("the victim has ended", lambda: self._books.ending(victim) is not None)
        except AssertionError:
            pass
        ending = self._books.ending(victim)
        if ending is None or ending[0] != "failed" or not ending[1] or ending[2] != "replica_died":
            self.report.unexplained.append(f"{victim}: {ending}")
        if in_flight:
            self.report.replica_deaths += 1
        else:
            self.report.deaths_not_counted += 1

    def _kill_server(self, way: str, witness: str) -> None:
        runners = runners_of(self._process.pid)
        raws = self._fire(RAWS) if way == "outside" else self._strike(way)
        at_failpoint = way != "outside" and self._is_dead_soon()
        if not at_failpoint:  # that was the plan, or chance never said yes
            self._server.kill()
        answers = [raw.answer() for raw in raws]
        for answer in answers:
            note_create(self._ledger, answer)
        if None in answers and witness in self._books.running():
            self.report.server_deaths += 1
            self.report.of_them_at_failpoints += at_failpoint
        else:
            self.report.deaths_not_counted += 1
        self.report.orphans += [f"after a death: {each.pid}" for each in left_of(runners)]

    def _strike(self, point: str) -> list[RawCreate]:
        """Tell the server to kill itself at a failpoint, and put creates in the air."""
        order = self._controls / STRIKE
        draft = order.with_suffix(".draft")
        draft.write_text(f"{point} {self._schedule.chance}")
        return self._fire(STRIKE_RAWS, lambda: draft.rename(order))

    def _is_dead_soon(self) -> bool:
        """Whether the server killed itself, as it was told."""
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            return False
        finally:
            (self._controls / STRIKE).unlink()
        return True

    def _fire(self, count: int, arm: Callable[[], object] | None = None) -> list[RawCreate]:
        """Send creates and read no answer; returns soon after the last one left, or as soon as nobody takes any.

        Every other one is the second on its connection: the server begins it without the parser.
        """
        sent = []
        raws = [RawCreate(self._server.port) for _ in range(count)]
        for raw in raws[::2]:
            raw.send(create_bytes(ADMIN_KEY, MODELS[0], {"seconds": 0.0}))
            note_create(self._ledger, raw.answer(keep=True))
        if arm is not None:
            arm()
        for number, raw in enumerate(raws):
            time.sleep(self._chance.uniform(0, GAP_SECONDS))
            given = {"seconds": round(self._chance.uniform(0, 0.1), 3)}
            try:
                raw.send(create_bytes(ADMIN_KEY, MODELS[0] if number % 2 == 0 else MODELS[1], given))
            except OSError:  # it is dead by now
                break
            sent.append(raw)
        for raw in raws[len(sent) :]:
            raw.close()
        time.sleep(self._chance.uniform(0, GAP_SECONDS / 2))
        return sent

    def _pause(self, take_back: Callable[[], dict[str, Any]]) -> None:
        try:
            stop_between_commits(self._process, self._books)
            assert self._books.running(), "nothing ran when the server was stopped"
            time.sleep(LEASE_SECONDS + 0.1)
            answer = take_back()
        finally:
            self._process.send_signal(signal.SIGCONT)
        assert answer["reaped"], "the lease had not expired"
        self.report.pauses += 1
        self.report.taken_back += len(answer["reaped"])

    # small things

    @property
    def _process(self) -> "subprocess.Popen[bytes]":
        assert self._server.process is not None
        return self._server.process

    def _is_caught(self) -> bool:
        return self._schedule.until_caught and bool(self._books.compare(self._ledger))

    def _begin(self, model: str, **given: Any) -> str:
        """A create that is acknowledged; a server that has just begun may want to be asked again."""
        for _ in range(100):
            raw = RawCreate(self._server.port)
            raw.send(create_bytes(ADMIN_KEY, model, given))
            made = note_create(self._ledger, raw.answer())
            if made is not None:
                return made
            time.sleep(0.05)
        raise AssertionError(f"no prediction of {model} could be created:\n{self._server.log()}")

    def _started(self, *prediction_ids: str) -> bool:
        return set(prediction_ids) <= self._books.running() and all(
            "started" in self._books.kinds(each) for each in prediction_ids
        )

    def _enough_acknowledged(self) -> bool:
        return len(self._ledger.acknowledged) >= self._schedule.predictions

    def _holds_both(self, plain: str, dreamer: str) -> bool:
        """Whether the dreamer runs and has told a dream, and the plain one runs, or has run already."""
        has_told = "output_added" in self._books.kinds(dreamer)
        return has_told and self._started(dreamer) and "started" in self._books.kinds(plain)

    def _wait_until(self, what: str, is_so: Callable[..., bool], *about: str, seconds: float = 60.0) -> None:
        wait_until(what, lambda: is_so(*about), seconds=seconds, log=self._server.log)


@contextmanager
def _second_node(database: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """Another process on the same database; calling it takes expired work back."""
    node = subprocess.Popen(
        [sys.executable, str(HERE / "second_node.py"), str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    assert node.stdin is not None
    assert node.stdout is not None

    def take_back() -> dict[str, Any]:
        node.stdin.write(b"now\n")  # type: ignore[union-attr]
        node.stdin.flush()  # type: ignore[union-attr]
        answer: dict[str, Any] = json.loads(node.stdout.readline())  # type: ignore[union-attr]
        return answer

    try:
        yield take_back
    finally:
        node.kill()
        node.wait(10)
        node.stdin.close()
        node.stdout.close()
