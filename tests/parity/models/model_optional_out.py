from typing import List, Optional

from cog import BaseModel, BasePredictor


class Output(BaseModel):
    text: str
    note: Optional[str] = None
    words: List[str]


class Predictor(BasePredictor):
    def predict(self, text: str) -> Output:
        return Output(text=text, words=text.split())
