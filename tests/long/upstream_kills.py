"""Kills of the server before a service that loses answers: 3,000 creates, 100 kills, nothing is begun twice or lost."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from fault.upstream_kills import UpstreamKills


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--style", choices=["replicate", "cometapi", "halley"], default="halley")
    parser.add_argument("--creates", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30.0, help="it fails when it takes longer")
    chosen = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="halley-kills-") as home:
        mix = UpstreamKills(Path(home), chosen.style, creates=chosen.creates, kills=chosen.kills, seed=chosen.seed)
        unknown = mix.check(mix.run(chosen.minutes * 60))
    print(
        f"{chosen.style}: {chosen.creates} creates, {chosen.kills} kills, {mix.service.unclear} lost answers in "
        f"{time.monotonic() - begin:.0f} s: {len(mix.service.runs)} runs begun, none twice; {unknown} unknown, 0 lost"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
