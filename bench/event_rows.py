"""What words and log lines of a running prediction cost, counted in events per CPU-second of the server."""

from dataclasses import dataclass
from itertools import count

import uvloop
from halley_server import NotServed, ask
from machine import exact_cpu_seconds
from waiters import delivered

WORDS = 200
WORDS_PER_SECOND = 200
LINES = 1000
_seed = count(1)


@dataclass(frozen=True)
class Words:
    """200 words of demo/text, one by one, delivered to each reader of its stream; `seconds` such texts."""

    title: str
    readers: int
    floor: str = "lifecycle"

    def measure(self, server, seconds, has_wrk):
        del has_wrk  # it reads no streams
        meters = [lambda: exact_cpu_seconds(server.process)]
        events = used = 0
        for _ in range(seconds):
            streamed = server.front.streamed(self._create(server))
            texts = [streamed] * self.readers
            came, cpu = uvloop.run(delivered(server.front, lambda: None, texts, WORDS, WORDS_PER_SECOND, meters))
            events, used = events + came, used + cpu
        if events != WORDS * self.readers * seconds:
            raise NotServed(f"{events} of {WORDS * self.readers * seconds} words came")
        return events / used

    def _create(self, server):
        """A text that begins in a second: demo/text has one slot, and another prediction has it until then."""
        create = f"{server.base}/v1/models/demo/text/predictions"
        given = {"prompt": "The value of", "seed": next(_seed)}
        ask(create, {"input": {**given, "max_tokens": 1, "delay": 1.0}})
        return ask(create, {"input": {**given, "max_tokens": WORDS, "delay": 1 / WORDS_PER_SECOND}})


@dataclass(frozen=True)
class Lines:
    """Predictions that log 1,000 lines in a second each, one after the other, without a reader."""

    title: str
    floor: str = "lifecycle"

    def measure(self, server, seconds, has_wrk):
        del has_wrk
        before = exact_cpu_seconds(server.process)
        for _ in range(seconds):
            logged = server.create_and_wait("bench/lines", {"input": {"lines": LINES}})["logs"].count("\n")
            if logged != LINES:
                raise NotServed(f"{logged} of {LINES} lines were kept")
        return LINES * seconds / (exact_cpu_seconds(server.process) - before)


EVENT_ROWS = {
    "words-1": Words(f"{WORDS} words of demo/text, 1 reader", 1),
    "words-50": Words(f"{WORDS} words of demo/text, 50 readers", 50),
    "lines": Lines(f"lines of a model that logs {LINES}"),
}


def microseconds(per_cpu_second):
    """CPU of one event."""
    return 1e6 / per_cpu_second
