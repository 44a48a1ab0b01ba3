import asyncio


async def run(text: str) -> str:
    await asyncio.sleep(0)
    print("awaited")
    return text
