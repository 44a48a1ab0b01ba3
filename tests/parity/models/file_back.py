from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, document: Path) -> Path:
        return document
