import no_such_torch as torch
from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self):
        self.net = torch.load("weights/net.pth")

    def predict(self, text: str) -> str:
        return self.net(text)
