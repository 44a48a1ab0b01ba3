"""The process that supervises a model's process imports little: there is one for each of them."""

import subprocess
import sys
from pathlib import Path

import halley

START = Path(halley.__file__).parent / "runner" / "start.py"

# `start.py` is run up to its fork
LOADED_BEFORE_THE_FORK = """
import os, sys
start, sys.argv = sys.argv[1], sys.argv[1:]
sys.path.insert(0, os.path.dirname(start))
before = set(sys.modules)
def fork():
    print(*sorted(set(sys.modules) - before), flush=True)
    os._exit(0)
os.fork = fork
with open(start) as file:
    code = compile(file.read(), start, "exec")
exec(code, {"__name__": "__main__"})
"""

LATE = {"json", "typing", "signal", "enum", "re", "collections", "threading", "_halley_runner.main"}


def test_what_only_the_model_needs_is_loaded_after_the_fork():
    words = ["--data", "0", "--control", "0", "--mode", "serve", "--config", "{}"]
    command = [sys.executable, "-X", "utf8", "-c", LOADED_BEFORE_THE_FORK, START, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "_halley_runner.supervisor" in done.stdout, done.stderr
    assert set(done.stdout.split()).isdisjoint(LATE)
