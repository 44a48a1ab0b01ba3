"""Fourteen models that write where they like, over two processes and two names each, with the server killed meanwhile.

scripts/faults replicas [--plain] [--isolated] [--models NAME,NAME] [--predictions N] [--kills N]

Without --plain or --isolated both ways are run. Prints a row for each model; ends with 1 if anything was mixed up.
The plain way is brought about by the kernel where that can be arranged here, else by the setting.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from places_mix import SHAPES, TITLE, Way, kernel_can_refuse, run_shape


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--isolated", action="store_true")
    parser.add_argument("--models", default=",".join(SHAPES))
    parser.add_argument("--predictions", type=int, default=200)
    parser.add_argument("--kills", type=int, default=5)
    given = parser.parse_args()
    ways: list[Way] = [way for way in ("isolated", "plain") if getattr(given, way)] or ["isolated", "plain"]
    by_kernel = kernel_can_refuse()
    print("plain by", "the kernel" if by_kernel else "the setting")
    print(TITLE)
    faults = 0
    for way in ways:
        for shape in given.models.split(","):
            with tempfile.TemporaryDirectory(prefix="halley-replicas-") as home:
                row = run_shape(
                    Path(home),
                    shape,
                    way=way,
                    predictions=given.predictions,
                    kills=given.kills,
                    by_kernel=by_kernel and way == "plain",
                )
            print(row, flush=True)
            faults += len(row.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
