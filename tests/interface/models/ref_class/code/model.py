class Runner:
    def run(self) -> str:
        return "not this one"


class Mine:
    def run(self) -> str:
        return "mine"
