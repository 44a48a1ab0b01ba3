from cog import BasePredictor, File


class Predictor(BasePredictor):
    def predict(self, document: File) -> str:
        content = document.read()
        return f"{type(content).__name__} {len(content)}"
