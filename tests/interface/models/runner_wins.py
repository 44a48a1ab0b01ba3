class Predictor:
    def predict(self) -> str:
        return "Predictor"


class Runner:
    def run(self) -> str:
        return "Runner"
