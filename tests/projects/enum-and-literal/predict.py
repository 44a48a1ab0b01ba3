from enum import Enum
from typing import Literal, Tuple

from cog import BasePredictor, Input


class Speed(str, Enum):
    fast = "fast"
    good = "good"


class Predictor(BasePredictor):
    def predict(
        self,
        speed: Speed = Input(default=Speed.good),
        format: Literal["png", "webp"] = "webp",
    ) -> Tuple[str, str]:
        return speed.value, format
