class Runner:
    async def healthcheck(self) -> bool:
        return False

    async def run(self) -> str:
        return "runs all the same"
