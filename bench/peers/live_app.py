"""Waiting and streaming as one would write it with Starlette: in memory, no log, nothing that survives.

uvicorn and granian serve the same application.
"""

import asyncio

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

BODY = {"id": "x" * 26, "status": "starting", "logs": "", "output": None, "input": {"prompt": "y" * 400}}
waiting = {asyncio.Event()}  # the one that all wait for now
readers = set()


async def get(_):
    return JSONResponse(BODY)


async def wait(_):
    await next(iter(waiting)).wait()
    return JSONResponse(BODY)


async def fire(_):
    waiting.pop().set()
    waiting.add(asyncio.Event())
    return JSONResponse({})


async def stream(_):
    queue = asyncio.Queue()
    readers.add(queue)

    async def events():
        yield b": hi\n\n"
        try:
            while (word := await queue.get()) is not None:
                yield word
        finally:
            readers.discard(queue)

    return StreamingResponse(events(), media_type="text/event-stream")


async def say(request):
    words, per_second = int(request.query_params["words"]), float(request.query_params["per_second"])
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(words):
        delay = began + number / per_second - loop.time()
        if delay > 0:
            await asyncio.sleep(delay)
        event = f"event: output\nid: {int(began)}:{number}\ndata: word {number} \n\n".encode()
        for queue in readers:
            queue.put_nowait(event)
    for queue in readers:
        queue.put_nowait(None)
    return JSONResponse({})


app = Starlette(
    routes=[
        Route("/get", get),
        Route("/wait", wait),
        Route("/fire", fire, methods=["POST"]),
        Route("/stream", stream),
        Route("/say", say, methods=["POST"]),
    ]
)
