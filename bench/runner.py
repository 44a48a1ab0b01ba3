"""No-op calls through the runner alone, without HTTP and store: python bench/runner.py SECONDS; prints JSON.

What a prediction costs between our server's loop and the model: submit, the model's process, output and end. Caller and
model share one core, as server and model do in the other rows; there is no other process that makes the load.
"""

import asyncio
import json
import logging
import statistics
import sys
import time
from pathlib import Path

import halley
from halley.clock import SystemClock
from halley.dispatch.ports import Work
from halley.providers.local import LocalProvider
from halley.replicas.loading import load_source
from halley.settings import process_environ

MODELS = {
    "sync": Path(__file__).parent / "models" / "noop_sync.py",
    "async": Path(halley.__file__).parent / "demo" / "noop",
}
INPUT = b'{"prompt":"an astronaut riding a horse on mars, hd, dramatic lighting, detailed"}'
STARTS = 7


async def loaded(provider, version):
    room = asyncio.Event()
    provider.listen(on_capacity=lambda _: room.set(), on_broken=lambda *said: sys.exit(f"bench: {said}"))
    provider.request_capacity(version)
    await asyncio.wait_for(room.wait(), 60)


async def calls(kind, clients, seconds):
    """Rate, and the time of one call in ms: waiting for a slot is part of it."""
    async with LocalProvider(clock=SystemClock(), environ=process_environ()) as provider:
        provider.add(kind, load_source(MODELS[kind], name="bench/noop"))
        await loaded(provider, kind)
        slots = asyncio.Semaphore(provider.free_slots(kind))
        took = []
        end = time.perf_counter() + seconds

        async def client(number):
            n = 0
            while (began := time.perf_counter()) < end:
                n += 1
                async with slots:
                    assert provider.take_slot(kind)
                    work = Work(prediction_id=f"{number}-{n}", attempt=1, version=kind, model="bench/noop", input=INPUT)
                    outcome = await provider.follow(await provider.submit(work), lambda _: None)
                assert outcome.status == "succeeded", outcome
                took.append((time.perf_counter() - began) * 1000)

        began = time.perf_counter()
        await asyncio.gather(*(client(number) for number in range(clients)))
        rate = len(took) / (time.perf_counter() - began)
    took.sort()
    return {"rate": rate, "p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100]}


async def cold_start():
    """From the decision to start a process to its `ready`, in ms."""
    async with LocalProvider(clock=SystemClock(), environ=process_environ()) as provider:
        provider.add("cold", load_source(MODELS["sync"], name="bench/noop"))
        began = time.perf_counter()
        await loaded(provider, "cold")
        return (time.perf_counter() - began) * 1000


def run(work):
    import uvloop  # what the server runs on

    return uvloop.run(work)


def main():
    logging.disable()
    seconds = float(sys.argv[1])
    found = {kind: {n: run(calls(kind, n, seconds)) for n in (1, 8, 64)} for kind in MODELS}
    starts = [run(cold_start()) for _ in range(STARTS)]
    print(json.dumps({"calls": found, "cold_start_ms": statistics.median(starts)}))


if __name__ == "__main__":
    main()
