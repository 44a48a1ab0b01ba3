from typing import Any, Optional

from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    def setup(self):
        self.record_metric("ignored", 1)

    def predict(self, name: str = "tokens", mode: Optional[str] = "replace", value: Any = 5) -> str:
        self.record_metric(name, value, mode)
        return "ok"


def ordered() -> str:
    print("first")
    current_scope().record_metric("a.b", 1)
    print("second")
    current_scope().record_metric("c", "text")
    print("third")
    return "ok"


def takes_back() -> str:
    metrics = current_scope().metrics
    metrics["a"] = 1
    metrics.record("b.c", 2, mode="incr")
    del metrics["a"]
    metrics["a"] = "text"
    metrics.delete("never.set")
    current_scope().record_metric("b.c", None)
    return "ok"


def changes_kind() -> str:
    current_scope().record_metric("a", 1)
    current_scope().record_metric("a", "one")
    return "ok"


def context() -> dict:
    return current_scope().context
