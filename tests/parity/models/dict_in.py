from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, table: dict) -> str:
        return ",".join(f"{name}={table[name]}" for name in sorted(table))
