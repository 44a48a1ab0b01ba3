from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, name: str) -> Path:
        return Path("/tmp") / name
