"""Predictors to be cancelled."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from cog import BasePredictor, CancelationException, current_scope


def busy(note: str = "started") -> str:
    print(note)
    n = 0
    while True:
        n += 1


def sleeps(seconds: float = 3600) -> str:
    print("started")
    time.sleep(seconds)
    return "slept"


def cleans_up() -> str:
    print("started")
    try:
        time.sleep(3600)
    except CancelationException:
        print("cleaning up")
        raise
    return "slept"


def swallows() -> str:
    print("started")
    try:
        time.sleep(3600)
    except BaseException:
        print("swallowed")
    return "as if nothing had happened"


def raises_other() -> str:
    print("started")
    try:
        time.sleep(3600)
    except CancelationException:
        raise ValueError("instead")
    return "slept"


def unasked() -> str:
    raise CancelationException("I want out")


def prints() -> str:
    while True:
        print("started", flush=True)
        current_scope().record_metric("turns", 1, "incr")


def yields() -> Iterator[int]:
    n = 0
    try:
        while True:
            print("started")
            yield n
            n += 1
    except CancelationException:
        print("told inside")
        raise
    finally:
        print("closed")


def yields_on() -> Iterator[int]:
    print("started")
    while True:
        try:
            time.sleep(3600)
        except CancelationException:
            print("ignored")
        yield 1


class Counter(BasePredictor):
    def predict(self, n: int) -> int:
        return n


async def async_sleeps() -> str:
    print("started")
    try:
        await asyncio.sleep(3600)
    finally:
        print("cleaned")
    return "slept"


async def async_swallows() -> str:
    print("started")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        pass
    return "as if nothing had happened"


async def async_yields() -> AsyncIterator[int]:
    try:
        while True:
            print("started")
            yield 1
            await asyncio.sleep(0)
    finally:
        print("closed")


async def async_counter(n: int) -> int:
    return n
