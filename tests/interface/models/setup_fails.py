class Runner:
    def setup(self):
        print("loading weights")
        raise RuntimeError("no weights")

    def run(self) -> str:
        return ""
