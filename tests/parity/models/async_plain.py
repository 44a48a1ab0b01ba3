from cog import BasePredictor


class Predictor(BasePredictor):
    async def predict(self, text: str) -> str:
        print("thinking")
        return text.upper()
