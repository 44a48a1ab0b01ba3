from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(
        self, steps: int = Input(ge=1, le=50, default=20), scale: float = Input(ge=0, le=1, default=0.5)
    ) -> str:
        return f"{steps} {scale}"
