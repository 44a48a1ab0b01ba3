"""demo/sleep: runs for the requested time and reports its progress; for trying waits, progress and cancel."""

import sys
import time

from cog import BaseRunner, Input

STEPS = 20
SLICE_SECONDS = 0.05
"""A step is slept in pieces of this length, so that a cancel is noticed inside it."""


class Runner(BaseRunner):
    def run(
        self,
        seconds: float = Input(description="How long to sleep.", default=1.0, ge=0.0, le=3600.0),
    ) -> str:
        """Sleep, and return for how long."""
        began = time.monotonic()
        show_progress(0)
        for step in range(1, STEPS + 1):
            sleep_until(began + seconds * step / STEPS)
            show_progress(step)
        return f"slept for {seconds:g} s"


def sleep_until(end: float) -> None:
    """Sleep in short pieces until the monotonic clock shows `end`."""
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, SLICE_SECONDS))


def show_progress(done: int) -> None:
    """Write one line as tqdm does, which clients and the dashboard read as progress."""
    bar = "#" * (10 * done // STEPS)
    sys.stderr.write(f"{100 * done // STEPS:3d}%|{bar:<10}| {done}/{STEPS}\n")
    sys.stderr.flush()
