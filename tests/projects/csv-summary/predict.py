import csv
import io
from typing import Dict

import cog
from cog import BasePredictor, File, Input


class Predictor(BasePredictor):
    def predict(
        self,
        table: File = Input(description="a CSV file"),
        column: str = Input(description="which column"),
    ) -> Dict[str, float]:
        rows = list(csv.DictReader(io.TextIOWrapper(table, encoding="utf-8")))
        values = [float(row[column]) for row in rows]
        return {"rows": len(values), "sum": sum(values), "max": max(values)}
