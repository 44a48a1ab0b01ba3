from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        return str(dict(current_scope().context)) + text
