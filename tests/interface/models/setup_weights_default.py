class Runner:
    def setup(self, weights="none given"):
        self.said = weights

    def run(self) -> str:
        return self.said
