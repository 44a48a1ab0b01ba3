"""Two workers and an API server with the maintainer, each killed 20 times during 500 predictions with webhooks."""

import sys
import tempfile
from pathlib import Path

from fault.roles_mix import Schedule, run_mix


def main(predictions: int = 500, deaths: int = 20, pauses: int = 5, seed: int = 1) -> int:
    with tempfile.TemporaryDirectory(prefix="halley-roles-") as home:
        report = run_mix(Path(home), Schedule(predictions=predictions, deaths=deaths, pauses=pauses, seed=seed))
    print(report)
    is_short = report.acknowledged < predictions or any(count < deaths for count in report.deaths.values())
    return 1 if report.violations or is_short else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:5])))
