"""Predictors that want to leave the process, from wherever they are."""

import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import AsyncIterator, Iterator

event = asyncio.Event()


def leave(how: str) -> str:
    if how == "return":
        return "here"
    print("leaving")
    if how == "text":
        sys.exit("no more")
    if how == "nothing":
        sys.exit()
    if how == "quit":
        quit()  # noqa: PLR1722
    sys.exit(7)


def sync(how: str) -> str:
    if how == "fork":
        pid = os.fork()
        if not pid:
            sys.exit(5)
        return "child left with %d" % os.WEXITSTATUS(os.waitpid(pid, 0)[1])
    if how == "pool":
        with ThreadPoolExecutor() as pool:
            return pool.submit(leave, how).result()
    return leave(how)


def pieces(how: str) -> Iterator[str]:
    yield leave(how)


async def leave_soon(how: str) -> str:
    await asyncio.sleep(0)
    return leave(how)


async def interrupt() -> None:
    print("leaving")
    raise KeyboardInterrupt


async def coroutine(how: str) -> str:
    if how == "stay":
        print("waiting")
        await event.wait()
    elif how == "wake":
        event.set()
    elif how == "task":
        await asyncio.ensure_future(leave_soon("exit"))
    elif how == "group":
        await asyncio.gather(asyncio.sleep(30), leave_soon("exit"))
    elif how == "forgotten":
        forgotten = asyncio.ensure_future(leave_soon("exit"))
        await asyncio.sleep(30)
        print(forgotten)
    elif how == "callback":
        asyncio.get_running_loop().call_soon(leave, "exit")
        await asyncio.sleep(30)
    elif how == "thread":
        await asyncio.get_running_loop().run_in_executor(None, leave, "exit")
    elif how == "interrupt":
        await asyncio.ensure_future(interrupt())
    elif how == "exit":
        leave("exit")
    threading.Thread(target=sys.exit).start()  # ends the thread, as everywhere in Python
    return "here"


async def async_pieces(how: str) -> AsyncIterator[str]:
    if how in ("stay", "wake"):
        await coroutine(how)
    else:
        yield leave(how)
