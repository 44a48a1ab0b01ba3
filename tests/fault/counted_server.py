"""A real server that says what it holds: by /proc, in its database, on its disk, and in its memory."""

import json
import os
import re
import signal
import sqlite3
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from process import Halley

SERVER: Final = Path(__file__).with_name("counting_server.py")
Counts = dict[str, int]


class Counted(Halley):
    """A server that says what it holds."""

    def __init__(self, home: Path, *arguments: str, config: str, environment: dict[str, str] | None = None) -> None:
        self.counts = home / "counts.json"
        (home / "tmp").mkdir()
        given = {"COUNTS_FILE": str(self.counts), "TMPDIR": str(home / "tmp"), **(environment or {})}
        super().__init__(home, *arguments, config=config, environment=given, command=(sys.executable, str(SERVER)))

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def count(self) -> Counts:
        proc = Path(f"/proc/{self.pid}")
        status = (proc / "status").read_text()
        found = {
            "descriptors": len(list((proc / "fd").iterdir())),
            "threads": int(re.findall(r"Threads:\s+(\d+)", status)[0]),
            "processes below it": len(descendants(self.pid)),
            "PSS in kB": int(re.findall(r"Pss:\s+(\d+)", (proc / "smaps_rollup").read_text())[0]),
            "temporary files": sum(len(files) for _, _, files in os.walk(self.home / "tmp")),
        }
        for folder, _, files in os.walk(self.home / "data"):
            top = Path(folder).relative_to(self.home / "data").parts[:1]
            name = f"files in {top[0] if top else '.'}"
            found[name] = found.get(name, 0) + len(files)
        with sqlite3.connect(f"file:{self.home}/data/halley.db?mode=ro", uri=True) as database:
            tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            for (table,) in tables:
                (found[f"rows of {table}"],) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
        database.close()
        return found | self._inside()

    def _inside(self) -> Counts:
        self.counts.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR2)
        for _ in range(200):
            if self.counts.exists():
                break
            time.sleep(0.05)
        inside = json.loads(self.counts.read_text())
        return {f"{kind}: {name}": count for kind, counts in inside.items() for name, count in counts.items()}


def descendants(pid: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        with suppress(ValueError, OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def rest(server: Counted, seconds: float = 60) -> None:
    """Wait until nothing waits, and what has a period is removed."""
    end = time.monotonic() + seconds
    path = f"file:{server.home}/data/halley.db?mode=ro"
    asked = (
        "SELECT (SELECT count(*) FROM queue) + (SELECT count(*) FROM files) + (SELECT count(*) FROM webhook_messages)"
        " + (SELECT count(*) FROM predictions WHERE data_removed_at IS NULL OR has_progress = 1)"
        " + (SELECT count(*) FROM bulk_actions WHERE state = 'running')"
    )
    while time.monotonic() < end:
        database = sqlite3.connect(path, uri=True)
        (left,) = database.execute(asked).fetchone()
        database.close()
        if not left:
            break
        time.sleep(0.5)
    else:
        print(f"{server.home.name}: {left} rows are still there after {seconds:g} s")
    time.sleep(3)  # idle connections, timers
