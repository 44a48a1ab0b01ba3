"""Several processes of one server on one data folder, each with roles of its own, killed and paused while clients work.

Two run predictions, one of them knows only one of the two models; a third answers requests and maintains. Each is
killed at random times, also while it starts, and started again at once. Workers are stopped for longer than a lease. At
the end everything is counted. Nothing is killed but what was started here.
"""

import random
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from process import ADMIN_KEY, Halley
from receiver import Receiver

from fault.mix_clients import Client, Quota
from fault.mix_ledger import Books, Ledger, Verdict
from fault.mix_steps import MODELS, make_models, missing_over_http, stop_between_commits, wait_until
from fault.runners import left_of, runners_in
from fault.shared_build import LATE, SESSION
from fault.webhook_mix import UNNOTICED

HERE: Final = Path(__file__).parent
CLIENTS: Final = 6
LEASE_SECONDS: Final = 2.0
SETTLE_SECONDS: Final = 180.0
START_SECONDS: Final = 180.0
LIFE_SECONDS: Final = 1.5  # at most so long a process works before it is killed
EARLY: Final = 0.2  # so often it is killed while it starts
AT_WORK: Final = 0.6  # so often it is not killed before some prediction runs, if one comes soon
WORK_SECONDS: Final = 2.5
ENDINGS: Final = frozenset({"succeeded", "canceled", "failed replica_died", "failed worker_lost"})
CONFIG: Final = """
isolation = "plain"
[server]
access_log = false
[webhooks]
retry_first_seconds = 0.1
[runs]
lease_seconds = {lease_seconds}
heartbeat_seconds = 0.5
"""
MODEL: Final = """
[models."{model}"]
path = "{path}"
preload = true
"""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One process: its roles, and the models that it is configured with."""

    roles: str
    models: tuple[str, ...] = MODELS


WORKERS_AND_API: Final = {
    "one": Shape(roles="worker"),
    "two": Shape(roles="worker", models=MODELS[:1]),
    "front": Shape(roles="api,maintainer"),
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What shall happen, to at least so many acknowledged predictions; `deaths` and `pauses` are of each process.

    Who is paused is named in `paused`. `planted` names bugs to switch on in all processes; with `until_caught` the
    first violation ends the run.
    """

    predictions: int = 500
    deaths: int = 20
    pauses: int = 5
    shapes: dict[str, Shape] = field(default_factory=lambda: WORKERS_AND_API)
    paused: tuple[str, ...] = ("one", "two")
    planted: str = ""
    until_caught: bool = False
    seed: int = 1


@dataclass
class Report:
    """The counts. Everything in `violations` must be empty."""

    acknowledged: int = 0
    unknown: int = 0
    canceled: int = 0
    deaths: dict[str, int] = field(default_factory=dict)
    deaths_while_starting: int = 0
    deaths_with_work: int = 0  # predictions were held by somebody at that moment
    pauses: dict[str, int] = field(default_factory=dict)
    attempts_lost: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    stuck: list[str] = field(default_factory=list)
    missing_over_http: list[str] = field(default_factory=list)
    wrong_endings: list[str] = field(default_factory=list)
    messages: int = 0  # webhook messages that arrived
    untold: list[str] = field(default_factory=list)  # ended, and no webhook message said so
    told_twice: list[str] = field(default_factory=list)  # their end came in messages with different ids, or contents
    late_writes: list[str] = field(default_factory=list)  # by a maintainer that had lost its duty
    orphans: list[str] = field(default_factory=list)
    broke: list[str] = field(default_factory=list)  # processes that ended by themselves, or not when they were asked
    faults: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def violations(self) -> dict[str, Any]:
        """What was promised and not kept."""
        names = ("stuck", "missing_over_http", "wrong_endings", "untold", "told_twice", "late_writes", "orphans")
        names += ("broke", "faults")
        found = {**vars(self.verdict), **{name: getattr(self, name) for name in names}}
        return {name: value for name, value in found.items() if value}

    def __str__(self) -> str:
        verdict = self.verdict
        counts = {
            "acknowledged": self.acknowledged,
            "created, not answered": self.unknown,
            "canceled by clients": self.canceled,
            **{f"deaths of {name}": count for name, count in self.deaths.items()},
            "deaths while starting": self.deaths_while_starting,
            "deaths with work under way": self.deaths_with_work,
            **{f"pauses of {name}": count for name, count in self.pauses.items()},
            "attempts taken back": self.attempts_lost,
            "lost": len(verdict.lost),
            "doubled": len(verdict.two_terminals) + len(verdict.stale),
            "overturned": len(verdict.overturned),
            "stuck": len(self.stuck),
            "webhook messages": self.messages,
            "ends without a message": len(self.untold),
            "ends told in two ways": len(self.told_twice),
            "late writes of maintainers": len(self.late_writes),
            "seconds": round(self.seconds, 1),
        }
        lines = [f"{name:28}{value:>8}" for name, value in counts.items()]
        return "\n".join([*lines, f"ended as: {self.statuses}", f"violations: {self.violations}"])


class Process:
    """One process that is killed and started again; its own folder holds its configuration, log and signals."""

    def __init__(
        self, home: Path, name: str, shape: Shape, *, planted: str = "", lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self.home = home / name
        self.home.mkdir()
        self.name = name
        self.has_worker = "worker" in shape.roles
        self.has_api = "api" in shape.roles
        models = "".join(
            MODEL.format(model=model, path=home / "models" / model.partition("/")[2]) for model in shape.models
        )
        self.server = Halley(
            self.home,
            *("--no-demo", "--data", str(home / "data")),
            config=CONFIG.format(lease_seconds=lease_seconds) + models,
            command=(sys.executable, str(HERE / "build.py")),
            environment={"FAULT_FOLDER": str(self.home), "FAULT_PLANTED": planted, "FAULT_ROLES": shape.roles},
        )

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait` return when it is ready."""
        (self.home / SESSION).unlink(missing_ok=True)
        self.server.start(wait=False)
        if not wait:
            return
        if self.has_api:
            self.server.wait_ready()
        else:
            is_up = (self.home / SESSION).exists if self.has_worker else lambda: True
            wait_until(f"{self.name} is up", is_up, seconds=START_SECONDS, log=self.server.log)

    def fault(self) -> str | None:
        """How it ended by itself, if it did."""
        process = self.server.process
        if process is None or process.poll() is None:
            return None
        return f"{self.name} ended with {process.returncode}:\n{self.server.log()}"


def run_mix(home: Path, schedule: Schedule) -> Report:
    """Run the schedule in an empty folder and count."""
    began = time.monotonic()
    with Mix(home, schedule) as mix:
        mix.kill_all()
        mix.settle()
    mix.report.orphans += [str(each.pid) for each in left_of(runners_in(home))]
    mix.report.seconds = time.monotonic() - began
    return mix.report


class Mix:
    """One run of a schedule: the processes, the clients, and who kills them."""

    def __init__(self, home: Path, schedule: Schedule) -> None:
        make_models(home)
        self._schedule = schedule
        self._processes = {
            name: Process(home, name, shape, planted=schedule.planted) for name, shape in schedule.shapes.items()
        }
        self._front = next(one for one in self._processes.values() if one.has_api)
        self._books = Books(home / "data" / "halley.db")
        self._ledger, self._quota = Ledger(), Quota()
        self._clients = [
            Client(self._front.server.port, ADMIN_KEY, MODELS, self._ledger, self._quota, schedule.seed * 100 + number)
            for number in range(CLIENTS)
        ]
        self._receiver = Receiver()
        for client in self._clients:
            client.webhook = self._receiver.url
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self.report = Report()

    def __enter__(self) -> Self:
        self._receiver.__enter__()
        for process in self._processes.values():
            process.start(wait=False)
        self._front.server.wait_ready()
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._quota.close(CLIENTS)
        for process in self._processes.values():
            running = process.server.process
            if running is not None and running.poll() is None:
                running.send_signal(signal.SIGCONT)
                process.server.kill()
        for client in self._clients:
            client.join(30)
        self._receiver.__exit__()

    def kill_all(self) -> None:
        """Kill and pause each process at its own times, until there were enough, or something was caught."""
        killers = [
            threading.Thread(target=self._kill_and_pause, args=(process, number), name=f"killer-{process.name}")
            for number, process in enumerate(self._processes.values())
        ]
        for killer in killers:
            killer.start()
        while any(killer.is_alive() for killer in killers):
            if self._is_caught():
                self._is_over.set()
            time.sleep(0.2)

    def settle(self) -> None:
        """Let everything end, and count."""
        is_caught = self._is_caught()
        if not is_caught:
            self._let_all_end()
        report, books, ledger = self.report, self._books, self._ledger
        report.verdict = books.compare(ledger)
        report.statuses = books.statuses()
        report.wrong_endings = self._wrong_endings()
        report.late_writes = self._late_writes()
        report.acknowledged, report.unknown = len(ledger.acknowledged), ledger.unknown
        report.canceled = len(ledger.canceled)
        ((report.attempts_lost,),) = books.rows("SELECT count(*) FROM events WHERE kind = 'attempt_lost'")
        report.faults = dict(ledger.faults)

    def _let_all_end(self) -> None:
        self._quota.give(self._schedule.predictions)  # as many as are still missing, and nobody takes more
        self._wait("the clients are done", lambda: len(self._ledger.acknowledged) >= self._schedule.predictions)
        self._quota.close(CLIENTS)
        for client in self._clients:
            client.join(30)
            if client.broke is not None:
                raise client.broke
        with suppress(AssertionError):
            self._wait("all have ended", lambda: not self._books.unfinished())
        self.report.stuck = self._books.unfinished()
        with suppress(AssertionError):
            self._wait("all is told", self._is_told)
        self._count_messages()
        self.report.missing_over_http = missing_over_http(self._front.server, self._books, self._ledger)
        for process in reversed(self._processes.values()):
            if (code := process.server.stop()) != 0:
                self.report.broke.append(f"{process.name} ended with {code} after SIGTERM")

    # what one thread does to one process

    def _kill_and_pause(self, process: Process, number: int) -> None:
        chance = random.Random(self._schedule.seed * 1000 + number)
        try:
            self._kill_again_and_again(process, chance)
        except Exception as error:  # noqa: BLE001 - the report shows it
            self._note_broke(f"{process.name}: {error!r}")
            self._is_over.set()

    def _kill_again_and_again(self, process: Process, chance: random.Random) -> None:
        deaths, pauses = self._schedule.deaths, self._schedule.pauses if process.name in self._schedule.paused else 0
        steps = ["kill"] * deaths + ["pause"] * pauses
        chance.shuffle(steps)
        for step in steps:
            self._quota.give(self._schedule.predictions // (len(steps) * len(self._processes)))
            is_early = step == "kill" and chance.random() < EARLY
            if not is_early:
                self._wait_up(process)
            if self._is_over.wait(chance.uniform(0, LIFE_SECONDS)):
                return
            if not is_early and chance.random() < AT_WORK:
                self._wait_for_work()
            if fault := process.fault():
                self._note_broke(fault)
                return
            if step == "pause":
                self._pause(process, chance)
            else:
                self._kill(process, is_early=is_early)
        self._wait_up(process)

    def _wait_for_work(self) -> None:
        """Return when some prediction is held, or after a while."""
        end = time.monotonic() + WORK_SECONDS
        while not self._books.running() and time.monotonic() < end:
            time.sleep(0.01)

    def _wait_up(self, process: Process) -> None:
        if process.has_api:
            process.server.wait_ready()
        elif process.has_worker:
            is_up = (process.home / SESSION).exists
            wait_until(f"{process.name} is up", is_up, seconds=START_SECONDS, log=process.server.log)

    def _kill(self, process: Process, *, is_early: bool) -> None:
        has_work = bool(self._books.running())
        process.server.kill()
        with self._lock:
            report = self.report
            report.deaths[process.name] = report.deaths.get(process.name, 0) + 1
            report.deaths_with_work += has_work
            report.deaths_while_starting += is_early
        process.start(wait=False)

    def _pause(self, process: Process, chance: random.Random) -> None:
        """Stop it for longer than its lease, so that its work is given to others, and let it go on."""
        assert process.server.process is not None
        try:
            stop_between_commits(process.server.process, self._books)
            time.sleep(LEASE_SECONDS + chance.uniform(0.3, 1.2))
        finally:
            process.server.process.send_signal(signal.SIGCONT)
        with self._lock:
            self.report.pauses[process.name] = self.report.pauses.get(process.name, 0) + 1

    # small things

    def _note_broke(self, fault: str) -> None:
        with self._lock:
            self.report.broke.append(fault)

    def _wait(self, what: str, is_so: Any) -> None:
        wait_until(what, is_so, seconds=SETTLE_SECONDS, log=self._logs)

    def _logs(self) -> str:
        return "\n".join(f"--- {name}\n{process.server.log()}" for name, process in self._processes.items())

    def _is_told(self) -> bool:
        waiting = "SELECT count(*) FROM webhook_messages WHERE next_at IS NOT NULL"
        return not any(self._books.rows(statement)[0][0] for statement in (UNNOTICED, waiting))

    def _count_messages(self) -> None:
        """Each end must have arrived in one message, perhaps several times."""
        ends: dict[str, set[tuple[str, str]]] = {}
        for message in self._receiver.arrived:
            shown = message.body
            if shown["status"] not in {"starting", "processing"}:
                ends.setdefault(shown["id"], set()).add((message.id, shown["status"]))
        rows = self._books.rows("SELECT id, status FROM predictions WHERE webhook IS NOT NULL")
        self.report.messages = len(self._receiver.arrived)
        self.report.untold = [one for one, status in rows if status not in {end for _, end in ends.get(one, set())}]
        self.report.told_twice = [f"{one}: {told}" for one, told in ends.items() if len(told) > 1]

    def _wrong_endings(self) -> list[str]:
        return sorted(set(self._books.statuses()) - {"starting", "processing"} - ENDINGS)

    def _late_writes(self) -> list[str]:
        found = [process.home / LATE for process in self._processes.values()]
        return [line for path in found if path.exists() for line in path.read_text().splitlines()]

    def _is_caught(self) -> bool:
        if not self._schedule.until_caught:
            return False
        return bool(self._late_writes() or self._wrong_endings() or self._books.compare(self._ledger))
