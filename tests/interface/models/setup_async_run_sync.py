class Runner:
    async def setup(self):
        self.word = "set up"

    def run(self) -> str:
        return self.word
