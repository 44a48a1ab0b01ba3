from cog import AsyncConcatenateIterator


async def run() -> AsyncConcatenateIterator[str]:
    yield "a"
    yield "b"
