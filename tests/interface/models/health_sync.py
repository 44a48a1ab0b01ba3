class Runner:
    def healthcheck(self) -> bool:
        return True

    def run(self) -> str:
        return "well"
