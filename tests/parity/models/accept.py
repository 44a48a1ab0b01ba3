from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(self, image: Path = Input(accept=["image/*"], description="a picture")) -> int:
        return len(image.read_bytes())
