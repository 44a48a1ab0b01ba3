"""Connections that wait and read streams: any number of them on one loop."""

import asyncio
import time


class Waiter(asyncio.Protocol):
    """Sends each request when the one before is answered; notes when the last answer came, and counts events."""

    def __init__(self, requests):
        self.requests = list(requests)
        self.events = 0
        self.answers = 0
        self.heard_at = 0.0
        self.is_lost = False
        self.tail = b""

    def connection_made(self, transport):
        self.transport = transport
        self._next()

    def data_received(self, data):
        self.heard_at = time.perf_counter()
        if b"HTTP/1.1 2" in data:
            self.answers += 1
        counted = self.tail + data
        self.events += counted.count(b"event: output\n")
        self.tail = counted[-13:] if b"event: output\n" not in counted[-13:] else b""
        self._next()

    def connection_lost(self, _):
        self.is_lost = True

    def _next(self):
        if self.requests:
            self.transport.write(self.requests.pop(0))


async def crowd(port, all_requests):
    """All of them connected, a hundred at a time."""
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(100)

    async def one(requests):
        async with gate:
            return (await loop.create_connection(lambda: Waiter(requests), "127.0.0.1", port))[1]

    return await asyncio.gather(*[one(requests) for requests in all_requests])


async def go(waiters):
    for waiter in waiters:
        waiter.transport.close()
    await asyncio.sleep(1)


async def delivered(front, start, all_requests, words, per_second, meters):
    """Read one stream on each connection until each saw all its words, or half a minute after it should have.

    Gives the events that were read, then by how much each of `meters` went up meanwhile.
    """
    readers = await crowd(front.port, all_requests)
    await asyncio.sleep(0.5)
    before = [meter() for meter in meters]
    start()
    for _ in range(20 * int(30 + words / per_second)):
        await asyncio.sleep(0.05)
        if sum(reader.events for reader in readers) >= words * len(readers):
            break
    used = [meter() - began for meter, began in zip(meters, before, strict=True)]
    events = sum(reader.events for reader in readers)
    await go(readers)
    return events, *used
