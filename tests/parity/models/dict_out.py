from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> dict:
        return {"length": len(text), "letters": sorted(set(text)), "inner": {"none": None}}
