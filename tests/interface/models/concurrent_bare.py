import cog


class Runner:
    @cog.concurrent
    def run(self) -> str:
        return "alone"
