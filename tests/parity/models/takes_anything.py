from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, **values) -> str:
        return str(sorted(values))
