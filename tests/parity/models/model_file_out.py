from cog import BaseModel, BasePredictor, Path


class Output(BaseModel):
    document: Path
    name: str


class Predictor(BasePredictor):
    def predict(self, text: str) -> Output:
        with open("answer.txt", "w") as answer:
            answer.write(text)
        return Output(document=Path("answer.txt"), name="answer")
