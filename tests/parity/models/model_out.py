from cog import BaseModel, BasePredictor


class Output(BaseModel):
    text: str
    length: int
    score: float = 0.5


class Predictor(BasePredictor):
    def predict(self, text: str) -> Output:
        return Output(text=text, length=len(text))
