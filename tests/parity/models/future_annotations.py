from __future__ import annotations

from typing import Optional

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str = Input(description="text"), times: Optional[int] = Input(default=None)) -> list[str]:
        return [text] * (times or 1)
