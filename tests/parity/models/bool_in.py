from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, flag: bool = False) -> str:
        return "yes" if flag is True else "no"
