from typing import List, Optional

from cog import BasePredictor, Input
from pydantic import BaseModel, Field


class Box(BaseModel):
    label: str
    score: float = Field(ge=0, le=1)


class Detections(BaseModel):
    boxes: List[Box]
    note: Optional[str] = None


class Predictor(BasePredictor):
    def predict(self, labels: str = Input(default="cat,dog")) -> Detections:
        names = labels.split(",")
        return Detections(boxes=[Box(label=name, score=1 / (n + 1)) for n, name in enumerate(names)])
