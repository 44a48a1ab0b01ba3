import asyncio


class Runner:
    async def setup(self):
        self.cleaned = []

    async def run(self, wait: bool = True) -> list:
        print("waits")
        try:
            while wait:
                await asyncio.Event().wait()
        except BaseException as error:
            self.cleaned.append(type(error).__name__)
            raise
        return self.cleaned
