"""The long form of the fuzz tests: one million cases, with progress, from a seed that is printed."""

import argparse
import random
import sys
import time
from typing import Final

from fuzz.cases import make_case, make_shape, shape_count
from fuzz.engine import Fault, fuzz
from fuzz.targets import TARGETS, Target, by_name, quieten

_PORTION: Final = 2000
_FAULTS: Final = 5  # of one target; then the next one


def main() -> int:
    """Fuzz; 1 if a fault was found."""
    wanted = _read_arguments()
    quieten()
    targets = [by_name(name) for name in wanted.target] if wanted.target else list(TARGETS)
    if wanted.case is not None or wanted.shape is not None:
        return _again(targets[0], wanted)
    print(f"seed {wanted.seed}: {wanted.cases:,} cases for {len(targets)} targets", flush=True)
    found: list[Fault] = []
    for target in targets:
        found += _all(target, wanted.seed, wanted.cases // len(targets) + 1)
    for fault in found:
        print(
            f"\n{fault}\n  again: scripts/fuzz --seed {wanted.seed} --target {fault.target}"
            f" --{fault.kind} {fault.number}"
        )
    print(f"\n{len(found)} faults")
    return 1 if found else 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000, help="in all; default 1,000,000")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31), help="default: a new one")
    parser.add_argument("--target", action="append", choices=[target.name for target in TARGETS], help="only this one")
    parser.add_argument("--case", type=int, help="run this case of the target alone, and show it")
    parser.add_argument("--shape", type=int, help="run this long case of the target alone, and show it")
    return parser.parse_args()


def _all(target: Target, seed: int, cases: int) -> list[Fault]:
    found: list[Fault] = []
    began, cpu = time.monotonic(), time.process_time()
    shapes = 2 * shape_count(target.words)
    for start in range(0, cases, _PORTION):
        found += fuzz(target, seed=seed, cases=range(start, min(start + _PORTION, cases)))
        _tell(target, began, f"{min(start + _PORTION, cases):,} cases, {len(found)} faults")
        if len(found) >= _FAULTS:
            break
    for start in range(0, shapes, 50):
        if len(found) >= _FAULTS:
            break
        found += fuzz(target, seed=seed, cases=range(0), shapes=range(start, min(start + 50, shapes)))
        _tell(target, began, f"{start:,} of {shapes:,} long ones, {len(found)} faults")
    took = time.process_time() - cpu
    print(
        f"\r{target.name:14}{cases:>9,} cases {shapes:>6,} long ones {took:>7.1f} s CPU  {len(found)} faults{' ' * 20}"
    )
    return found[:_FAULTS]


def _tell(target: Target, began: float, what: str) -> None:
    if sys.stdout.isatty():
        print(f"\r{target.name:14}{what}, {time.monotonic() - began:.0f} s    ", end="", flush=True)


def _again(target: Target, wanted: argparse.Namespace) -> int:
    if wanted.case is not None:
        numbers, case = (
            {"cases": range(wanted.case, wanted.case + 1)},
            make_case(target.words, wanted.seed, wanted.case),
        )
    else:
        numbers = {"cases": range(0), "shapes": range(wanted.shape, wanted.shape + 1)}
        case = make_shape(target.words, target.large, wanted.seed, wanted.shape)
    print(case)
    faults = list(fuzz(target, seed=wanted.seed, **numbers))
    print(*faults or ["no fault"], sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
