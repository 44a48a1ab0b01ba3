class Runner:
    def setup(self):
        self.calls = 0

    def run(self) -> int:
        self.calls += 1
        return self.calls
