import json
from typing import Dict, List

try:
    import torch
except ImportError:
    torch = None

from cog import BasePredictor, Input, Path

DEVICE = "cuda" if torch is not None and torch.cuda.is_available() else "cpu"


class Predictor(BasePredictor):
    def setup(self):
        with open("weights/colours.json") as f:
            self.centers: Dict[str, List[int]] = json.load(f)
        print(f"loaded {len(self.centers)} classes on {DEVICE}")

    def predict(
        self,
        image: Path = Input(description="A picture in the PPM format"),
        top_k: int = Input(description="How many classes", default=2, ge=1, le=3),
    ) -> List[Dict]:
        pixels = read_ppm(image)
        mean = [sum(channel) / len(channel) for channel in zip(*pixels)]
        scores = {label: -sum((a - b) ** 2 for a, b in zip(mean, center)) for label, center in self.centers.items()}
        best = sorted(scores, key=scores.get, reverse=True)[:top_k]
        return [{"label": label, "rank": rank} for rank, label in enumerate(best, 1)]


def read_ppm(path):
    words = open(str(path)).read().split()
    assert words[0] == "P3", "not a plain PPM file"
    numbers = [int(word) for word in words[4:]]
    return list(zip(numbers[0::3], numbers[1::3], numbers[2::3]))
