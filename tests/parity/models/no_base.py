class Predictor:
    def setup(self):
        self.greeting = "Hello"

    def predict(self, name: str) -> str:
        return f"{self.greeting}, {name}"
