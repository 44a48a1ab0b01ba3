"""Three fake services with faults of different kinds, and a ledger of what was sent to them for each prediction."""

import json
import random
import time
from collections import defaultdict
from typing import Any, NamedTuple

from halley.testing.replicate.faults import HTML, ServiceFault, problem, says
from halley.testing.replicate.scripts import Stage
from halley.testing.replicate.service import Asked, FakeService, Style, kind_of

MODEL = "test/echo"
_NO_ANSWER = says(502, HTML, kind="text/html")


class Sent(NamedTuple):
    """A create that arrived. `is_last`: it began a run, or it may have and the service cannot tell."""

    service: str
    is_last: bool


class SentLedger:
    """The creates of all services, by the number in their input, in the order of their arrival."""

    def __init__(self) -> None:
        self.sent: dict[int, list[Sent]] = defaultdict(list)

    def check(self) -> None:
        """Nothing was sent after a create that must be the last."""
        for number, sent in self.sent.items():
            assert not any(one.is_last for one in sent[:-1]), f"{number} was sent again: {sent}"

    @property
    def creates(self) -> int:
        """How many creates arrived."""
        return sum(map(len, self.sent.values()))


class RoutedService(FakeService):
    """A service whose runs take `stages` polls. During `outages` (seconds from its first request) it answers nothing
    else than 502. Of other creates it loses and refuses these shares, and beyond `per_second` it answers 429.
    """

    def __init__(
        self,
        style: Style,
        ledger: SentLedger,
        *,
        stages: int = 2,
        outages: tuple[tuple[float, float], ...] = (),
        loses: float = 0.0,
        refuses: float = 0.0,
        per_second: int | None = None,
    ) -> None:
        super().__init__({MODEL: lambda given: _stages(given, stages)}, style=style)
        self.described = {MODEL: {"is_official": True}}
        self.name = style
        self._ledger = ledger
        self._outages = outages
        self._loses, self._refuses, self._per_second = loses, refuses, per_second
        self._chance = random.Random(5)
        self._began: float | None = None
        self._second, self._in_second = 0, 0

    def fault(self, asked: Asked) -> ServiceFault | None:
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        if any(start <= now - self._began < end for start, end in self._outages):
            return _NO_ANSWER
        if kind_of(asked) != "create":
            return None
        if self._is_beyond(int(now - self._began)):
            return says(429, {"detail": "too many"}, retry_after="1")
        if self._chance.random() < self._loses:
            return ServiceFault(acts=self._chance.random() < 0.7, cut="answer")
        if self._chance.random() < self._refuses:
            return problem(503, "no room") if self.style == "halley" else says(429, b"")
        return None

    def note(self, asked: Asked, fault: ServiceFault) -> None:
        super().note(asked, fault)
        if kind_of(asked) == "create":
            status = (fault.raw or b"").split(b" ", 2)[1:2]
            is_proof = status == [b"429"] or (status == [b"503"] and self.style == "halley")
            is_last = fault.acts or (self.style == "cometapi" and not is_proof)
            self._ledger.sent[json.loads(asked.body)["input"]["n"]].append(Sent(self.name, is_last))

    def _is_beyond(self, second: int) -> bool:
        if self._second != second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._per_second is not None and self._in_second > self._per_second


def _stages(given: dict[str, Any], count: int) -> list[Stage]:
    waits = [Stage(status="processing")] * count
    return [*waits, Stage(status="succeeded", output=f"said {given['n']}")]
