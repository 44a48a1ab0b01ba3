"""Removing old data beside new work: python bench/retention.py [PREDICTIONS].

How fast a backlog goes, how long creates wait meanwhile, and what becomes of the database's file. The store and the
service are the real ones; no HTTP, no models.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from halley.assets.blob_references import BlobReferences
from halley.blobs.memory import MemoryBlobs
from halley.bus.local import LocalBus
from halley.clock import SystemClock
from halley.predictions.ports import NewPrediction
from halley.predictions.status import Fact
from halley.retention.periods import Periods
from halley.retention.service import RetentionService
from halley.settings import RetentionSettings
from halley.store.sqlite import open_sqlite
from halley.testing.stores.maker import Maker

TEXT = "an astronaut riding a horse on mars, hd, dramatic lighting, detailed " * 30  # 2 kB
LONG = 100_000  # events of the one prediction that said much


class NoUploads:
    async def expire(self, at):
        del at
        return 0


class Bench:
    def __init__(self, store):
        self.store = store
        self.maker = Maker()
        self.clock = SystemClock()
        periods = Periods(settings=RetentionSettings(api="1s"), model_settings={}, keys=store, models=store)
        self.retention = RetentionService(
            store=store,
            blob_references=BlobReferences(blobs=MemoryBlobs(), ledger=store),
            uploads=NoUploads(),
            periods=periods,
            bus=LocalBus(),
            clock=self.clock,
        )

    async def life(self, events=8):
        new = self.maker.prediction(input=b'{"prompt":"%b"}' % TEXT.encode(), created_at=self.clock.now())
        created = await self.store.create(NewPrediction(prediction=new, session_id="s"))
        said = [self.maker.started(), *(self.maker.said(f"step {n}\n") for n in range(events)), self.maker.output(TEXT)]
        await self.store.finish(created.lease, Fact.SUCCEEDED, self.clock.now(), events=said)

    async def fill(self, count):
        await self.store.open_session("s", self.clock.now(), 1e9)
        for start in range(0, count, 200):
            await asyncio.gather(*[self.life() for _ in range(min(200, count - start))])

    async def creates(self, until):
        """One create after the other, as a single client; how long each took."""
        took = []
        while not until.done():
            began = time.perf_counter()
            await self.life()
            took.append((time.perf_counter() - began) * 1000)
        return took


def line(name, took):
    took = sorted(took)
    print(
        f"{name:44}{len(took):>7} lives, p50 {statistics.median(took):>6.2f} ms,"
        f" p99 {took[len(took) * 99 // 100]:>7.2f} ms, longest {took[-1]:>7.2f} ms"
    )


async def main(count):
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "halley.db"

        def size():
            return sum(file.stat().st_size for file in path.parent.iterdir()) / 2**20

        async with open_sqlite(path) as store:
            bench = Bench(store)
            await bench.fill(count)
            await bench.life(events=LONG)
            full = size()
            line("creates alone", await bench.creates(asyncio.ensure_future(asyncio.sleep(3))))
            await asyncio.sleep(1)
            began = time.perf_counter()
            removing = asyncio.ensure_future(bench.retention.look())
            line("creates while a backlog is removed", await bench.creates(removing))
            seconds = time.perf_counter() - began
            print(f"{removing.result()} removed, one of them with {LONG} events, in {seconds:.1f} s", end="")
            print(f" ({removing.result() / seconds:.0f}/s beside one busy client)")
            emptied = size()
            await bench.fill(count)
            print(f"database: {full:.0f} MiB full, {emptied:.0f} MiB emptied, {size():.0f} MiB filled again")


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
