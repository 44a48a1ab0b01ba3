"""Bodies, headers and pages that are as hard as may be, while another client creates and reads."""

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from e2e.process import ADMIN_KEY, Halley
from fault.hard_requests import CREATED, SHAPES, Target, is_right, target_file

HERE: Final = Path(__file__).parent.parent / "fault"
KEYS: Final = 6
MEMORY: Final = {"MALLOC_MMAP_THRESHOLD_": "1048576"}  # as `halley serve` starts itself
CONFIG: Final = f"""
[server]
access_log = false
[models."test/anything"]
path = "{HERE}/models/anything"
preload = true
"""


class Bystander:
    """A client that creates and reads all the time; it keeps its slowest answer and what went wrong."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._over = threading.Event()
        self.slowest, self.answers, self.busy, self.wrong = 0.0, 0, 0, []  # type: ignore[var-annotated]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._over.is_set():
            status, body = self._ask("POST", "/v1/predictions", b'{"version":"demo/noop","input":{}}')
            if status in CREATED:
                self._ask("GET", f"/v1/predictions/{json.loads(body)['id']}", b"")
            time.sleep(0.02)

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        began = time.monotonic()
        try:
            status, answer = self._target.request(method, path, body)
        except OSError as error:
            status, answer = 0, str(error).encode()
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.answers += 1
        if status in (429, 503):
            self.busy += 1
        elif status >= 500 or status == 0:
            self.wrong.append((status, answer[:200]))
        return status, answer


def noted(notes: Path, *, reset: bool = False) -> tuple[float, int, float]:
    """The longest pause of the loop since the last reset, the most memory in bytes, the most CPU in a pause; in ms."""
    time.sleep(0.5)
    gap, peak, cpu = notes.read_text().split()
    if reset:
        notes.with_suffix(".reset").touch()
        time.sleep(0.5)
    return float(gap), int(peak), float(cpu)


def one_at_a_time(target: Target, notes: Path) -> int:
    wrong = 0
    for shape in SHAPES:
        noted(notes, reset=True)
        began = time.monotonic()
        status = shape(target)
        took = time.monotonic() - began
        gap, peak, cpu = noted(notes)
        right = is_right(shape.__name__, status)
        wrong += not right
        said = "" if right else "   WRONG"
        pause = f"loop {gap:6.1f} ms ({cpu:5.1f} of CPU)"
        print(f"{shape.__name__:24} {status}  {took:6.2f} s  {pause}  peak {peak / 2**20:4.0f} MiB{said}")
    return wrong


def more_keys(target: Target) -> list[Target]:
    """The same server for others: one key may not fill the budget of all."""
    keys = [target]
    for number in range(KEYS - 1):
        body = json.dumps({"name": f"load {number}", "scopes": ["read", "write"]}).encode()
        status, answer = target.request("POST", "/v1/keys", body)
        assert status == 201, answer
        keys.append(Target(target.port, json.loads(answer)["token"], seconds=target.seconds))
    return keys


def all_together(target: Target, notes: Path, seconds: float) -> tuple[int, dict[str, Any]]:
    noted(notes, reset=True)
    keys = more_keys(target)
    end = time.monotonic() + seconds
    wrong: list[tuple[str, int]] = []
    counts: dict[int, int] = {}

    def repeat(shape: Any, target: Target) -> None:
        while time.monotonic() < end:
            try:
                status = shape(target)
            except OSError:
                status = -1
            counts[status] = counts.get(status, 0) + 1
            if not is_right(shape.__name__, status, crowded=True):
                wrong.append((shape.__name__, status))

    threads = [
        threading.Thread(target=repeat, args=(shape, keys[number % KEYS]), daemon=True)
        for number, shape in enumerate(SHAPES)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 90)
    print("answers of the hard ones by status:", dict(sorted(counts.items())))
    for name, status in sorted(set(wrong)):
        print(f"WRONG {name}: {status}")
    gap, peak, cpu = noted(notes)
    return len(wrong), {"gap_ms": gap, "peak_bytes": peak, "cpu_ms": cpu}


def main() -> int:
    """Print what was measured; fails on a wrong answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long all go on together")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        home, notes = Path(folder), Path(folder) / "heartbeat"
        command = (sys.executable, str(HERE / "heartbeat.py"), str(notes))
        with Halley(home, config=CONFIG, command=command, environment=MEMORY) as server:
            target = Target(server.port, ADMIN_KEY, seconds=120.0)
            target_file(target)
            bystander = Bystander(Target(server.port, ADMIN_KEY, seconds=120.0))
            print("each alone:")
            wrong = one_at_a_time(target, notes)
            print(f"all together for {seconds:g} s:")
            more, found = all_together(target, notes, seconds)
            bystander.stop()
    print(f"longest pause of the loop: {found['gap_ms']:.1f} ms (aim 100 on a quiet machine)")
    print(f"most processor time of the server in one pause: {found['cpu_ms']:.1f} ms")
    print(f"slowest answer to the other client: {bystander.slowest * 1000:.0f} ms of {bystander.answers}")
    print(f"its 5xx beside 503: {len(bystander.wrong)} {bystander.wrong[:3]}; 429 and 503: {bystander.busy}")
    print(f"peak memory of the server: {found['peak_bytes'] / 2**20:.0f} MiB (aim 512)")
    return 1 if wrong or more or bystander.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
