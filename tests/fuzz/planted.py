"""Bugs that the fuzzer must find: two that the first version had, and one of each other kind."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from fuzz.targets import Target


@dataclass(frozen=True)
class Plant:
    """What runs beside the target, and a word of what the fuzzer says."""

    name: str
    target: str
    bug: Callable[[bytes], object]
    word: str
    size: int = 12 * 1024  # of shapes: what takes the square of its length is clear soon

    def into(self, target: Target) -> Target:
        """The target with the bug."""

        def run(case: bytes) -> object:
            self.bug(case)
            return target.run(case)

        return replace(target, run=run, large=self.size)


# both as they stood in the first version
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_RANGE: Final = re.compile(r"\s*(\d{0,99})\s*-\s*(\d{0,99})\s*", re.ASCII)


def _strings(case: bytes) -> object:
    return _STRING.sub(b"", case)


def _range(case: bytes) -> object:
    unit, _, wanted = case.decode("latin-1").partition("=")
    return _RANGE.fullmatch(wanted) if unit == "bytes" else None


def _undeclared(case: bytes) -> object:
    return case[len(case)] if case.count(b"=") == 3 else None


def _walk(case: bytes) -> object:
    count = 0
    for at in range(len(case)):
        for other in range(min(at, 300)):
            count += case[other] == case[at]
    return count


PLANTS: Final = (
    Plant("the first pattern of JSON strings", "json", _strings, "CPU"),
    Plant("the first parser of Range", "range", _range, "CPU", 18 * 1024),
    Plant("an error that is not declared", "cursor", _undeclared, "IndexError"),
    Plant("a loop in a loop", "webhook-url", _walk, "steps"),
)
