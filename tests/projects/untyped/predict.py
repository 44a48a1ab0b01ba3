import cog


class Predictor(cog.BasePredictor):
    def predict(self, text, times=cog.Input(default=2)):
        return {"text": text * times}
