"""The entry point: Ctrl+C while its modules are loaded ends the command silently, without a traceback."""

from __future__ import annotations

import gc
import signal
import sys

_OBJECTS_OF_A_START = 100_000  # that are made before Python searches for garbage: modules leave none


def main() -> None:
    """Run the command line."""
    _run("main")


def _run(module: str) -> None:
    gc.set_threshold(_OBJECTS_OF_A_START)  # the server sets its own when it is up
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # false under nohup, for example
    if is_ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if module == "serving":
        from halley.cli.serving import main as start
    else:
        from halley.cli.main import main as start
    if is_ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    start()


if __name__ == "__main__":
    _run(sys.argv.pop(1))
