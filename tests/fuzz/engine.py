"""Runs targets on cases: no error but the declared ones, and work in proportion to the bytes.

Steps are lines of our Python code, counted on a sample of the cases and on long shapes. What runs in C (patterns,
decoders) shows in the CPU time of long shapes alone: with a bound a hundred times above what is usual.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import python_multipart

import halley
from fuzz.cases import make_case, make_shape
from fuzz.targets import Target

SAMPLE: Final = 50  # of so many cases the steps of one are counted
FREE_STEPS: Final = 3000
STEPS_PER_BYTE: Final = 40
FREE_SECONDS: Final = 0.1
# files of other packages may lie in a folder with one of these names, too
_OURS: Final = tuple(f"{Path(path).parent}{os.sep}" for path in (halley.__file__, python_multipart.__file__, __file__))


@dataclass(frozen=True)
class Fault:
    """Something that must not be, and how to make it again."""

    target: str
    kind: str  # "case" or "shape"
    number: int
    case: bytes
    why: str

    def __str__(self) -> str:
        shown = self.case if len(self.case) <= 300 else self.case[:200] + b" ... " + self.case[-60:]
        return f"{self.target}, {self.kind} {self.number} ({len(self.case):,} bytes): {self.why}\n  {shown!r}"


def fuzz(target: Target, *, seed: int, cases: range, shapes: range = range(0)) -> Iterator[Fault]:
    """All faults that show, in order. Shapes are long, and take most of the time."""
    for number in cases:
        case = make_case(target.words, seed, number)
        why = _why(target, case, count=number % SAMPLE == 0)
        if why is not None:
            yield Fault(target.name, "case", number, case, why)
    for number in shapes:
        case = make_shape(target.words, target.large, seed, number)
        why = _why(target, case, count=number % 8 == 0) or _slow(target, case)
        if why is not None:
            yield Fault(target.name, "shape", number, case, why)


def _why(target: Target, case: bytes, *, count: bool) -> str | None:
    try:
        if not count:
            target.run(case)
            return None
        return _many_steps(target, case)
    except target.declared:
        return None
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} is not declared: {str(error)[:200]} ({where.filename}:{where.lineno})"


def _many_steps(target: Target, case: bytes) -> str | None:
    steps = Steps()
    limit = FREE_STEPS + STEPS_PER_BYTE * len(case)
    try:
        with steps:
            target.run(case)
    except target.declared:
        pass
    return None if steps.count <= limit else f"{steps.count:,} steps, the bound is {limit:,}"


def _slow(target: Target, case: bytes) -> str | None:
    """Whether it takes too long, twice: once may be a machine that was busy."""
    limit = FREE_SECONDS + target.seconds_per_byte * len(case)
    took = min(_seconds(target, case), limit * 10)
    if took > limit:
        took = min(took, _seconds(target, case))
    return None if took <= limit else f"{took:.2f} s of CPU, the bound is {limit:.2f} s"


def _seconds(target: Target, case: bytes) -> float:
    began = time.thread_time()
    try:
        target.run(case)
    except Exception:  # noqa: BLE001 - which ones was looked at before
        pass
    return time.thread_time() - began


class Steps:
    """Counts the lines of our code that run while its block does."""

    def __init__(self) -> None:
        self.count = 0
        self._before: Callable[..., Any] | None = None

    def __enter__(self) -> "Steps":
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, _event: str, _arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(_OURS):
            return None
        self.count += 1
        return self._line

    def _line(self, _frame: FrameType, event: str, _arg: object) -> Any:
        self.count += event == "line"
        return self._line
