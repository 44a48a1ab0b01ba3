from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, document: Path) -> str:
        return document.read_text().upper() + str(isinstance(document, Path)) + str(document.is_absolute())
