"""Returns and records what JSON can hardly say."""

from typing import Any

from cog import BasePredictor, Input, current_scope


def nested(depth: int, here: Any = 1) -> Any:
    for number in range(depth):
        here = [here] if number % 2 else {"a": here}
    return here


class Predictor(BasePredictor):
    def predict(self, kind: str = Input(default="plain"), depth: int = Input(default=1)) -> Any:
        """One value of a kind; of `metric-...` it is recorded, and the output is plain."""
        name, _, what = kind.rpartition("-")
        value = {
            "plain": "plain",
            "deep": nested(depth),
            "integer": {"n": 2**70},
            "digits": "1" * 30,
            "surrogate": "half \ud800 a pair",
            "nan": {"n": float("nan")},
            "sum": 2**63,
        }[what]
        if name != "metric":
            return value
        for _ in range(3):
            try:
                current_scope().record_metric("odd", value, mode="incr" if what == "sum" else "replace")
            except TypeError as error:
                print(error)
        return "recorded"
