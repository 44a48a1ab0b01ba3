from cog import BasePredictor


class Predictor(BasePredictor):
    async def predict(self, text: str) -> str:
        print("before")
        raise LookupError("nothing like " + text)
