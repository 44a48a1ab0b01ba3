from words import WORD


class Predictor:
    def predict(self) -> str:
        return WORD
