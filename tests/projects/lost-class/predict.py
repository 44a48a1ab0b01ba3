from cog import BasePredictor


class WhisperPredictor(BasePredictor):
    def predict(self, text: str) -> str:
        return text
