"""A fake service that answers a part of all requests with a fault."""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from halley.testing.replicate.faults import HTML, ServiceFault, says
from halley.testing.replicate.scripts import Stage
from halley.testing.replicate.service import Asked, FakeRun, FakeService, Style, kind_of

MODEL = "test/echo"
SLOW: Final = ServiceFault(acts=True, seconds=0.03)  # so that a kill can hit a create on its way
LOSING: Sequence[Callable[[bool], ServiceFault]] = (
    lambda acts: ServiceFault(acts=acts, cut="answer"),
    lambda acts: ServiceFault(acts=acts, cut="middle"),
    lambda acts: says(500, b"", acts=acts),
    lambda acts: says(502, HTML, acts=acts, kind="text/html"),
    lambda acts: says(504, HTML, acts=acts, kind="text/html"),
    lambda acts: says(524, HTML, acts=acts, kind="text/html"),
    lambda acts: says(201, b'{"id": "ab', acts=acts),
)
"""Answers to a create that do not say whether it acted."""


class FaultyService(FakeService):
    """Loses each third answer to a create, two thirds of them behind a run that was begun, and 10 % of those to polls.
    `unclear` counts the lost answers to creates; `begun_twice` are the inputs of which there are two runs.
    """

    def __init__(self, style: Style, chance: random.Random) -> None:
        super().__init__({MODEL: say}, style=style)
        self.described = {MODEL: {"is_official": True}}
        self.unclear = 0
        self.asked_to_create = 0
        self.begun: Counter[str] = Counter()
        self.begun_twice: list[str] = []
        self._chance = chance

    def fault(self, asked: Asked) -> ServiceFault | None:
        if kind_of(asked) == "create":
            self.asked_to_create += 1
            if self.asked_to_create % 3 == 0:
                self.unclear += 1
                return self._chance.choice(LOSING)(self.unclear % 3 != 0)
            return SLOW
        if kind_of(asked) in ("read", "list") and self._chance.random() < 0.1:
            return self._chance.choice(LOSING)(True)
        return None

    def begin(self, model: str, given: dict[str, Any]) -> FakeRun:
        text = json.dumps(given, sort_keys=True)
        self.begun[text] += 1
        if self.begun[text] > 1:
            self.begun_twice.append(text)
        return super().begin(model, given)


def say(given: dict[str, Any]) -> list[Stage]:
    """Its output names its input."""
    return [
        Stage(status="starting"),
        Stage(status="processing"),
        Stage(status="succeeded", output=f"said {given['n']}"),
    ]
