"""A route of three services with faults, 2,000 predictions: success rate and p95 beside each service alone."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

from fault.routed_mix import MixResult, RoutedMix
from fault.routed_services import RoutedService, SentLedger
from halley.settings import RouteSettings


def services(ledger: SentLedger) -> list[RoutedService]:
    """Fast and at times out of order; one that loses answers and has a low limit; slow and reliable."""
    return [
        RoutedService("replicate", ledger, outages=((3.0, 7.0), (14.0, 18.0))),
        RoutedService("cometapi", ledger, stages=4, loses=0.03, per_second=40),
        RoutedService("halley", ledger, stages=12, refuses=0.02),
    ]


def row(title: str, result: MixResult, ledger: SentLedger, seconds: float) -> str:
    count = len(result.rows)
    reasons = ", ".join(f"{number} {reason}" for reason, number in result.reasons.items()) or "-"
    places = ", ".join(f"{name} {number}" for name, number in result.places.most_common())
    figures = f"{result.succeeded / count:8.2%} {result.seconds(0.5):7.2f} {result.seconds(0.95):7.2f} {seconds:7.1f}"
    return f"{title:22} {figures} {ledger.creates / count:9.3f}   {places}; failed: {reasons}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=2000)
    parser.add_argument("--per-second", type=float, default=40.0, help="so many creates are made in a second")
    parser.add_argument("--minutes", type=float, default=6.0, help="each row fails when it takes longer")
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    names = [one.name for one in services(SentLedger())]
    routes = {
        "route, in order": RouteSettings(providers=tuple(names)),
        "route, weights 3 2 1": RouteSettings(weights=dict(zip(names, (3, 2, 1), strict=True))),
        **{f"{name} alone": RouteSettings(providers=(name,)) for name in names},
    }
    print(f"{chosen.predictions} predictions, {chosen.per_second:g} a second; times in seconds")
    print(f"{'':22} {'success':>8} {'p50':>7} {'p95':>7} {'all':>7} {'creates':>9}   where they ended")
    for title, route in routes.items():
        ledger = SentLedger()
        used = [one for one in services(ledger) if one.name in route.places]
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="halley-routes-") as home:
            mix = RoutedMix(Path(home), used, route)
            result = asyncio.run(mix.run(chosen.predictions, chosen.per_second, chosen.minutes * 60))
        ledger.check()
        assert max(sum(one.creates.values()) for one in used) <= chosen.predictions
        print(row(title, result, ledger, time.monotonic() - began), flush=True)
        for name, states in result.breakers.items():
            if states:
                print(f"{'':22} breaker of {name}: {', '.join(states)}")
    print("no prediction was sent anywhere after a create that began it, or may have where the service cannot tell")
    return 0


if __name__ == "__main__":
    sys.exit(main())
