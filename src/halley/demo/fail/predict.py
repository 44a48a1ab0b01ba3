"""demo/fail: fails in every way in which a model can fail, on demand; shows that other predictions are not affected."""

import ctypes
import os
import resource
import sys
import time

from cog import BasePredictor, CancelationException, Input

MIB = 2**20
STEP_BYTES = 16 * MIB
CEILING_BYTES = 1024 * MIB
"""`oom` stops at this size by itself, so that a machine without any limit survives it."""

STEP_SECONDS = 0.02
HANG_SECONDS = 600.0
LAST_WORDS_SECONDS = 0.1
"""Time for the server to receive the last line before the process dies."""

EXIT_STATUS = 7


class Predictor(BasePredictor):
    def predict(
        self,
        mode: str = Input(
            description="How to fail: raise an exception, exit the process, segfault, use up the memory, or hang "
            "and ignore every request to cancel.",
            default="raise",
            choices=["raise", "exit", "segfault", "oom", "hang"],
        ),
    ) -> str:
        """Fail in the requested way; there is no output."""
        print(f"about to fail: {mode}", flush=True)
        if mode in ("exit", "segfault"):
            time.sleep(LAST_WORDS_SECONDS)
        if mode == "exit":
            os._exit(EXIT_STATUS)  # skips all of Python's own cleanup, as a C library that calls exit() does
        if mode == "segfault":
            read_nothing()
        if mode == "oom":
            use_up_memory()
        if mode == "hang":
            return hang()
        raise ValueError("this model was asked to fail, and did")


def read_nothing() -> None:
    """Read the memory at address 0: the kernel answers with SIGSEGV."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no core file in the model's folder
    ctypes.string_at(0)


def use_up_memory() -> None:
    """Allocate memory in steps, and write to every page of it, until the process is stopped or the ceiling is
    reached.
    """
    taken: list[bytearray] = []
    for _ in range(CEILING_BYTES // STEP_BYTES):
        block = bytearray(STEP_BYTES)
        block[:: resource.getpagesize()] = b"\1" * (STEP_BYTES // resource.getpagesize())
        taken.append(block)
        print(f"holding {len(taken) * STEP_BYTES // MIB} MiB", file=sys.stderr, flush=True)
        time.sleep(STEP_SECONDS)  # a real model grows slowly too
    time.sleep(2)  # long enough for a watcher that measures once a second
    raise MemoryError(
        f"took {CEILING_BYTES // MIB} MiB and was not stopped: the model's memory limit of 256 MB is not in force"
    )


def hang() -> str:
    """Sleep for ten minutes and ignore every cancel, as badly written models do."""
    end = time.monotonic() + HANG_SECONDS
    while time.monotonic() < end:
        try:
            time.sleep(0.5)
        except CancelationException:
            print("asked to cancel, but not listening", flush=True)
    return "gave up hanging after ten minutes"
