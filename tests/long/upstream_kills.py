"""Kills of the server before a service that loses answers: 3,000 creates, 100 kills, nothing is begun twice or lost."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from fault.upstream_kills import Broken, UpstreamKills


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--style", choices=["replicate", "cometapi", "halley", "http-job"], default="halley")
    parser.add_argument("--creates", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=15.0, help="it fails when it takes longer")
    parser.add_argument("--planted", help="a bug of tests/fault/upstream_build.py, which must be found")
    chosen = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="halley-kills-") as home:
        mix = UpstreamKills(
            Path(home),
            chosen.style,
            creates=chosen.creates,
            kills=chosen.kills,
            seed=chosen.seed,
            planted=chosen.planted,
        )
        try:
            unknown = mix.check(mix.run(chosen.minutes * 60))
        except Broken as error:
            print(f"{chosen.style}: after {mix.killed} kills, {time.monotonic() - begin:.0f} s: {error}")
            return 0 if chosen.planted else 1
    print(
        f"{chosen.style}: {chosen.creates} creates, {chosen.kills} kills, {mix.service.unclear} lost answers in "
        f"{time.monotonic() - begin:.0f} s: {len(mix.service.runs)} runs begun, none twice; {len(mix.running)} running "
        f"and {mix.open_submits} being submitted at a kill; {unknown} unknown, 0 lost"
    )
    return 1 if chosen.planted else 0


if __name__ == "__main__":
    sys.exit(main())
