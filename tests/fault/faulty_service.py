"""A fake service that answers a part of all requests with a fault."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from halley.testing.replicate.faults import HTML, ServiceFault, says
from halley.testing.replicate.scripts import Stage
from halley.testing.replicate.service import Asked, FakeService, Style, kind_of

MODEL = "test/echo"
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
    `unclear` counts the lost answers to creates.
    """

    def __init__(self, style: Style, chance: random.Random) -> None:
        super().__init__({MODEL: say}, style=style)
        self.described = {MODEL: {"is_official": True}}
        self.unclear = 0
        self.asked_to_create = 0
        self._chance = chance

    def fault(self, asked: Asked) -> ServiceFault | None:
        if kind_of(asked) == "create":
            self.asked_to_create += 1
            if self.asked_to_create % 3 == 0:
                self.unclear += 1
                return self._chance.choice(LOSING)(self.unclear % 3 != 0)
            return None
        if kind_of(asked) in ("read", "list") and self._chance.random() < 0.1:
            return self._chance.choice(LOSING)(True)
        return None


def say(given: dict[str, Any]) -> list[Stage]:
    """Its output names its input."""
    return [Stage(status="starting"), Stage(status="succeeded", output=f"said {given['n']}")]
