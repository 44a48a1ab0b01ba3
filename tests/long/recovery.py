"""A lost prediction begins again within 5 s of a restart after kill -9, with six busy clients: ten rounds."""

import sys
import tempfile
from pathlib import Path

from fault.recovery import WITHIN_SECONDS, Recovery


def main(rounds: int = 10) -> int:
    with tempfile.TemporaryDirectory(prefix="halley-recovery-") as home:
        recovery = Recovery(Path(home))
        late = 0
        for number in range(1, rounds + 1):
            before = recovery.answered
            took = recovery.round()
            late += took > WITHIN_SECONDS
            print(f"round {number:2}: began again after {took:.2f} s, {recovery.answered - before} others answered")
    print(f"{rounds} rounds, {late} later than {WITHIN_SECONDS:g} s")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
